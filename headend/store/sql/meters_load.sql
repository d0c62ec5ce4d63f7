SELECT
    id, name, serial, system_title, device_id, address, meter_type, division, commissioned_at, interval_s,
    parked_reason, last_contact,
    CASE WHEN last_error_at > coalesce(last_contact, '-infinity') THEN last_error END, state
FROM meter
WHERE id > %(after)s AND state <> 'retired'
ORDER BY id
LIMIT %(limit)s
