INSERT INTO meter (name, serial, system_title, device_id, address, meter_type, division, commissioned_at, interval_s)
SELECT name, serial, system_title, device_id, address, meter_type, coalesce(division, ''), commissioned_at, interval_s
FROM listed l
WHERE NOT EXISTS (SELECT FROM meter m WHERE m.name = l.name)
ORDER BY line
