-- Meters that a session file may be of: by serial, by system title, by device id.
SELECT id, name, serial, system_title, device_id, meter_type, maker, firmware, commissioned_at
FROM meter
WHERE serial = %(serial)s OR system_title = %(title)s::bytea OR device_id = ANY (%(devices)s::text[])
ORDER BY name
LIMIT 10
