-- Makes and changes meters by name; those that are as listed already are not touched. Answers true for a new one.
INSERT INTO meter AS m
    (name, serial, system_title, device_id, address, meter_type, division, commissioned_at, interval_s)
SELECT name, serial, system_title, device_id, address, meter_type, coalesce(division, ''), commissioned_at, interval_s
FROM unnest(%(name)s::text[], %(serial)s::text[], %(system_title)s::bytea[], %(device_id)s::text[], %(address)s::text[],
            %(meter_type)s::text[], %(division)s::text[], %(commissioned_at)s::timestamptz[], %(interval_s)s::int[])
    AS l (name, serial, system_title, device_id, address, meter_type, division, commissioned_at, interval_s)
ON CONFLICT (name) DO UPDATE
SET serial = EXCLUDED.serial,
    system_title = coalesce(EXCLUDED.system_title, m.system_title),
    device_id = coalesce(EXCLUDED.device_id, m.device_id),
    address = EXCLUDED.address,
    meter_type = EXCLUDED.meter_type,
    division = coalesce(nullif(EXCLUDED.division, ''), m.division),
    commissioned_at = EXCLUDED.commissioned_at
WHERE (m.serial, m.address, m.meter_type, m.commissioned_at)
      IS DISTINCT FROM (EXCLUDED.serial, EXCLUDED.address, EXCLUDED.meter_type, EXCLUDED.commissioned_at)
   OR m.system_title IS DISTINCT FROM coalesce(EXCLUDED.system_title, m.system_title)
   OR m.device_id IS DISTINCT FROM coalesce(EXCLUDED.device_id, m.device_id)
   OR m.division <> coalesce(nullif(EXCLUDED.division, ''), m.division)
RETURNING m.xmax = 0
