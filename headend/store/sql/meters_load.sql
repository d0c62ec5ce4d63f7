SELECT
    id, name, serial, system_title, device_id, address, meter_type, division, commissioned_at, interval_s,
    parked_reason, last_contact, last_error
FROM meter
WHERE id > %(after)s
ORDER BY id
LIMIT %(limit)s
