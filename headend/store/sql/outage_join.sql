-- Times that belong to no outage yet join the one of their feeder, transformer or meter that is nearest in time.
WITH alone AS MATERIALIZED (
    SELECT r.meter_id, r.off_at, p.division, p.feeder, p.transformer
    FROM outage_meter r
    LEFT JOIN meter_place p ON p.meter_id = r.meter_id AND p.transformer <> ''
    WHERE r.outage_id IS NULL AND r.meter_id = ANY (%(meters)s::int[])
), possible AS (
    SELECT a.meter_id, a.off_at, o.id, o.first_seen, o.last_off
    FROM alone a JOIN outage o ON o.meter_id = a.meter_id
    UNION ALL
    SELECT a.meter_id, a.off_at, o.id, o.first_seen, o.last_off
    FROM alone a JOIN outage o ON o.division = a.division AND o.feeder = a.feeder AND o.transformer = a.transformer
    UNION ALL
    SELECT a.meter_id, a.off_at, o.id, o.first_seen, o.last_off
    FROM alone a JOIN outage o ON o.division = a.division AND o.feeder = a.feeder AND o.transformer = ''
    WHERE o.kind = 'feeder'
)
UPDATE outage_meter r SET outage_id = n.id
FROM (
    SELECT DISTINCT ON (meter_id, off_at) meter_id, off_at, id
    FROM possible
    WHERE off_at BETWEEN first_seen - make_interval(secs => %(together_s)s)
                     AND last_off + make_interval(secs => %(together_s)s)
    ORDER BY meter_id, off_at, abs(extract(epoch FROM first_seen - off_at)), id
) n
WHERE r.meter_id = n.meter_id AND r.off_at = n.off_at
