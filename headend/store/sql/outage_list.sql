-- Outages, those that go on first, then the latest. day: in the utility's zone; NULL: all.
SELECT o.outage, o.kind, o.division, o.feeder, o.transformer, o.meter, o.local_begin, o.local_end, o.open, o.meters,
       o.still_off, o.minutes::float, o.meter_minutes::float
FROM power_outage o
WHERE (o.open OR NOT %(open)s)
  AND (%(day)s::date IS NULL
       OR o.local_begin < %(day)s::date + 1 AND coalesce(o.local_end, 'infinity') >= %(day)s::date)
ORDER BY o.open DESC, o.began_at DESC
LIMIT %(limit)s
