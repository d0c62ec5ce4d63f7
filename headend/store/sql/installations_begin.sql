-- An installation for meters that have none at present and of which a place is listed: from their commissioning on, or
-- when it is said to begin, but not before the last one ended. Answers those of them that were there before.
WITH begun AS (
    INSERT INTO installation (meter_id, installed_at, circle, division, feeder, transformer, consumer_id)
    SELECT m.id,
           greatest(coalesce(%(begins)s, m.commissioned_at),
                    (SELECT max(i.removed_at) FROM installation i WHERE i.meter_id = m.id)),
           coalesce(l.circle, ''), coalesce(l.division, ''), coalesce(l.feeder, ''), coalesce(l.transformer, ''),
           coalesce(l.consumer_id, '')
    FROM listed l JOIN meter m ON m.name = l.name
    WHERE m.state <> 'retired'
      AND coalesce(l.circle, l.division, l.feeder, l.transformer, l.consumer_id) IS NOT NULL
      AND NOT EXISTS (SELECT FROM installation i WHERE i.meter_id = m.id AND i.removed_at IS NULL)
    RETURNING meter_id
)
SELECT meter_id FROM begun WHERE meter_id <= %(newest)s
