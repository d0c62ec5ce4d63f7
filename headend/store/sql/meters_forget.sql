-- What a changed row makes worthless: a watermark that began at another commissioning, the layout of another device.
-- An installation that began with the commissioning begins with it still.
WITH changed AS (
    SELECT m.id, m.commissioned_at AS before, l.commissioned_at AS after,
           coalesce(m.commissioned_at <> l.commissioned_at, false) AS moved,
           coalesce(m.serial <> l.serial, false) OR coalesce(m.meter_type <> l.meter_type, false) AS other_device
    FROM listed l JOIN meter m ON m.name = l.name
), layouts AS (
    DELETE FROM meter_profile p USING changed c WHERE p.meter_id = c.id AND c.other_device
), begun AS (
    UPDATE installation i SET installed_at = c.after
    FROM changed c
    WHERE i.meter_id = c.id AND c.moved AND i.installed_at = c.before
      AND (i.removed_at IS NULL OR i.removed_at > c.after)
      AND NOT EXISTS (SELECT FROM installation o WHERE o.meter_id = i.meter_id AND o.installed_at < i.installed_at)
)
DELETE FROM watermark w USING changed c WHERE w.meter_id = c.id AND c.moved
