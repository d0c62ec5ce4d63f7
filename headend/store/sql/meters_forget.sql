-- What a changed row makes worthless: a watermark that began at another commissioning, the layout of another device.
WITH changed AS (
    SELECT m.id, m.commissioned_at <> l.commissioned_at AS moved,
           m.serial <> l.serial OR m.meter_type <> l.meter_type AS other_device
    FROM unnest(%(name)b::text[], %(serial)b::text[], %(meter_type)b::text[], %(commissioned_at)b::timestamptz[])
             AS l (name, serial, meter_type, commissioned_at)
    JOIN meter m ON m.name = l.name
), layouts AS (
    DELETE FROM meter_profile p USING changed c WHERE p.meter_id = c.id AND c.other_device
)
DELETE FROM watermark w USING changed c WHERE w.meter_id = c.id AND c.moved
