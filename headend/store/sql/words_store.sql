INSERT INTO meter_status_word AS w (meter_id, at, bits)
SELECT (e ->> 'meter_id')::int, (e ->> 'at')::timestamptz, ARRAY(SELECT b::int FROM jsonb_array_elements_text(e -> 'bits') AS b)
FROM jsonb_array_elements(%(words)s::jsonb) AS e
ORDER BY 1
ON CONFLICT (meter_id) DO UPDATE SET at = EXCLUDED.at, bits = EXCLUDED.bits WHERE w.at < EXCLUDED.at
