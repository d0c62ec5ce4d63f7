-- Meters of a place that is without power that were asked since and did not answer: they have none either.
INSERT INTO outage_meter (meter_id, outage_id, off_at, evidence)
SELECT DISTINCT ON (m.id) m.id, o.id, o.first_seen, 4
FROM outage o
JOIN meter_place p ON p.division = o.division AND p.feeder = o.feeder AND p.transformer <> ''
    AND (p.transformer = o.transformer OR o.kind = 'feeder')
JOIN meter m ON m.id = p.meter_id
WHERE o.closed_at IS NULL AND o.kind <> 'meter' AND m.parked_at IS NULL AND m.state <> 'retired'
  AND m.last_error_at > o.first_seen AND coalesce(m.last_contact, '-infinity') < o.first_seen
  AND NOT EXISTS (SELECT FROM outage_meter r WHERE r.meter_id = m.id AND coalesce(r.on_at, 'infinity') > o.first_seen)
ORDER BY m.id, o.first_seen
