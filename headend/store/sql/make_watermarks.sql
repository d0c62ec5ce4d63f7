INSERT INTO watermark (meter_id, profile, settled)
SELECT m.id, %(profile)s, next_unstored(m.id, slot_from(m.commissioned_at, m.interval_s))
FROM meter m
WHERE m.id = ANY (%(meters)b::int[])
ORDER BY m.id
ON CONFLICT DO NOTHING
