INSERT INTO meter_status_word (meter_id, at, bits)
SELECT meter_id, at, bits::smallint[]
FROM unnest(%(meters)b::int[], %(at)b::timestamptz[], %(bits)b::text[]) AS w (meter_id, at, bits)
ORDER BY meter_id
ON CONFLICT (meter_id) DO UPDATE SET at = EXCLUDED.at, bits = EXCLUDED.bits
