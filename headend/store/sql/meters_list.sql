-- A page of the registry: NULL asks for nothing.
SELECT
    id, name, serial, system_title, device_id, address, meter_type, division, commissioned_at, interval_s,
    parked_reason, last_contact,
    CASE WHEN last_error_at > coalesce(last_contact, '-infinity') THEN last_error END, state
FROM meter
WHERE id > %(after)s
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(division)s::text IS NULL OR division = %(division)s)
  AND (%(parked)s::bool IS NULL OR (parked_reason IS NOT NULL) = %(parked)s)
  AND (%(transformer)s::text IS NULL OR EXISTS (
      SELECT FROM installation i
      WHERE i.meter_id = meter.id AND i.removed_at IS NULL AND i.transformer = %(transformer)s))
ORDER BY id
LIMIT %(limit)s
