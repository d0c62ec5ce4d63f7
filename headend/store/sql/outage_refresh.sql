-- How far outages reach, in time and space; those that were not open before and are now, and the other way round.
WITH reach AS MATERIALIZED (
    SELECT r.outage_id, min(r.off_at) AS first_seen, max(r.off_at) AS last_off,
           CASE WHEN bool_and(r.on_at IS NOT NULL) THEN max(r.on_at) END AS restored_at,
           count(DISTINCT r.meter_id) FILTER (WHERE r.evidence & 3 <> 0) AS meters
    FROM outage_meter r
    JOIN outage o ON o.id = r.outage_id
    WHERE o.closed_at IS NULL OR o.id = ANY (%(outages)s::int[])
    GROUP BY r.outage_id
), size AS MATERIALIZED (
    SELECT p.division, p.feeder, p.transformer, count(*) AS meters
    FROM meter_place p
    WHERE p.transformer IN (SELECT o.transformer FROM reach r JOIN outage o ON o.id = r.outage_id WHERE o.kind = 'meter')
      AND p.transformer <> ''
    GROUP BY p.division, p.feeder, p.transformer
)
UPDATE outage o
SET first_seen = r.first_seen, last_off = r.last_off, restored_at = r.restored_at,
    closed_at = CASE WHEN r.restored_at IS NOT NULL THEN coalesce(was.closed_at, %(now)s) END,
    kind = CASE WHEN was.kind = 'meter' AND r.meters >= greatest(2, least(%(transformer_meters)s, s.meters))
                     AND r.meters >= %(transformer_share)s * s.meters THEN 'transformer' ELSE was.kind END
FROM reach r
JOIN outage was ON was.id = r.outage_id
LEFT JOIN size s ON s.division = was.division AND s.feeder = was.feeder AND s.transformer = was.transformer
WHERE o.id = r.outage_id
RETURNING o.id, o.kind, o.feeder, o.transformer, r.meters, was.closed_at, o.closed_at, o.restored_at, o.opened_at = %(now)s AS is_new
