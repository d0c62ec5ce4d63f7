INSERT INTO push_window (meter_key_id, system_title, highest, bitmap)
SELECT key_id, title, -1, 0
FROM unnest(%(keys)b::int[], %(titles)b::bytea[]) AS p (key_id, title)
ORDER BY key_id, title
ON CONFLICT DO NOTHING
