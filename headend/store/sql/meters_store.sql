-- Makes and changes meters by name; those that are as listed already are not touched. Answers true for a new one.
INSERT INTO meter AS m
    (name, serial, system_title, device_id, address, meter_type, division, commissioned_at, interval_s)
SELECT name, serial, system_title, device_id, address, meter_type, coalesce(division, ''), commissioned_at, interval_s
FROM unnest(%(name)b::text[], %(serial)b::text[], %(system_title)b::bytea[], %(device_id)b::text[], %(address)b::text[],
            %(meter_type)b::text[], %(division)b::text[], %(commissioned_at)b::timestamptz[], %(interval_s)b::int[])
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
