INSERT INTO watermark (meter_id, profile, settled)
SELECT m.id, %(profile)s, next_owed(m.id, %(profile)s, first_slot(%(profile)s, m.commissioned_at, m.interval_s, z.zone))
FROM meter m CROSS JOIN utility z
WHERE m.id = ANY (%(meters)b::int[])
  AND NOT EXISTS (SELECT FROM watermark w WHERE w.meter_id = m.id AND w.profile = %(profile)s)
ORDER BY m.id
ON CONFLICT DO NOTHING
