-- The first installation of meters of which a place is listed: from their commissioning on. Answers those that were
-- there before.
WITH begun AS (
    INSERT INTO installation (meter_id, installed_at, circle, division, feeder, transformer, consumer_id)
    SELECT m.id, m.commissioned_at, coalesce(l.circle, ''), coalesce(l.division, ''), coalesce(l.feeder, ''),
           coalesce(l.transformer, ''), coalesce(l.consumer_id, '')
    FROM listed l JOIN meter m ON m.name = l.name
    WHERE m.state <> 'retired'
      AND coalesce(l.circle, l.division, l.feeder, l.transformer, l.consumer_id) IS NOT NULL
      AND NOT EXISTS (SELECT FROM installation i WHERE i.meter_id = m.id)
    RETURNING meter_id
)
SELECT meter_id FROM begun WHERE meter_id <= %(newest)s
