SELECT
    id, name, serial, system_title, device_id, address, meter_type, division, commissioned_at, interval_s,
    parked_reason, last_contact, last_error
FROM meter
WHERE name = %(name)s OR serial = %(name)s
ORDER BY name <> %(name)s
LIMIT 1
