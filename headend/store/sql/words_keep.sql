INSERT INTO meter_status_word (meter_id, at, read_at, bits)
SELECT meter_id, at, read_at, bits::smallint[]
FROM unnest(%(meters)b::int[], %(at)b::timestamptz[], %(read_at)b::timestamptz[], %(bits)b::text[])
    AS w (meter_id, at, read_at, bits)
ORDER BY meter_id
ON CONFLICT (meter_id) DO UPDATE SET at = EXCLUDED.at, read_at = EXCLUDED.read_at, bits = EXCLUDED.bits
