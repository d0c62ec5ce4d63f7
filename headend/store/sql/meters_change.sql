-- Changes meters, by name, to what is listed of them; answers how many there are of which something changed.
-- What nobody knew of a place is filled in. Where it was otherwise, that installation ends at `now` and another begins,
-- unless it began no earlier. A retired meter has no place.
WITH changed AS (
    UPDATE meter m
    SET serial = coalesce(l.serial, m.serial),
        address = coalesce(l.address, m.address),
        meter_type = coalesce(l.meter_type, m.meter_type),
        commissioned_at = coalesce(l.commissioned_at, m.commissioned_at),
        system_title = coalesce(l.system_title, m.system_title),
        device_id = coalesce(l.device_id, m.device_id),
        division = CASE WHEN m.state = 'retired' THEN m.division ELSE coalesce(l.division, m.division) END
    FROM listed l
    WHERE l.name = m.name
      AND (coalesce(m.serial <> l.serial, false)
           OR coalesce(m.address <> l.address, false)
           OR coalesce(m.meter_type <> l.meter_type, false)
           OR coalesce(m.commissioned_at <> l.commissioned_at, false)
           OR (l.system_title IS NOT NULL AND m.system_title IS DISTINCT FROM l.system_title)
           OR (l.device_id IS NOT NULL AND m.device_id IS DISTINCT FROM l.device_id)
           OR (m.state <> 'retired' AND coalesce(m.division <> l.division, false)))
    RETURNING m.id
), place AS (
    SELECT i.meter_id, i.installed_at >= %(now)s
                       OR i.circle IN ('', p.circle) AND i.division IN ('', p.division) AND i.feeder IN ('', p.feeder)
                          AND i.transformer IN ('', p.transformer) AND i.consumer_id IN ('', p.consumer_id) AS corrected,
           p.circle, p.division, p.feeder, p.transformer, p.consumer_id
    FROM listed l
    JOIN meter m ON m.name = l.name
    JOIN installation i ON i.meter_id = m.id AND i.removed_at IS NULL
    CROSS JOIN LATERAL (
        SELECT coalesce(l.circle, i.circle) AS circle,
               coalesce(l.division, i.division) AS division,
               coalesce(l.feeder, i.feeder) AS feeder,
               coalesce(l.transformer, i.transformer) AS transformer,
               coalesce(l.consumer_id, i.consumer_id) AS consumer_id
    ) p
    WHERE (i.circle, i.division, i.feeder, i.transformer, i.consumer_id)
          <> (p.circle, p.division, p.feeder, p.transformer, p.consumer_id)
), corrected AS (
    UPDATE installation i
    SET circle = p.circle, division = p.division, feeder = p.feeder, transformer = p.transformer,
        consumer_id = p.consumer_id
    FROM place p
    WHERE i.meter_id = p.meter_id AND i.removed_at IS NULL AND p.corrected
    RETURNING i.meter_id
), ended AS (
    UPDATE installation i SET removed_at = %(now)s
    FROM place p
    WHERE i.meter_id = p.meter_id AND i.removed_at IS NULL AND NOT p.corrected
    RETURNING i.meter_id
), begun AS (
    INSERT INTO installation (meter_id, installed_at, circle, division, feeder, transformer, consumer_id)
    SELECT p.meter_id, %(now)s, p.circle, p.division, p.feeder, p.transformer, p.consumer_id
    FROM ended JOIN place p USING (meter_id)
)
SELECT id FROM changed UNION SELECT meter_id FROM corrected UNION SELECT meter_id FROM ended
