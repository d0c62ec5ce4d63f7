-- Where a meter is and was, newest first.
SELECT i.installed_at, i.removed_at, i.circle, i.division, i.feeder, i.transformer, i.consumer_id, i.last_reading,
       m.name AS replaced_by
FROM installation i LEFT JOIN meter m ON m.id = i.replaced_by
WHERE i.meter_id = %(meter)s
ORDER BY i.installed_at DESC
