-- Times that belong to no outage yet join the one of their feeder, transformer or meter that is nearest in time.
UPDATE outage_meter r SET outage_id = n.outage_id
FROM (
    SELECT DISTINCT ON (a.meter_id, a.off_at) a.meter_id, a.off_at, o.id AS outage_id
    FROM outage_meter a
    LEFT JOIN meter_place p ON p.meter_id = a.meter_id AND p.transformer <> ''
    JOIN outage o
        ON (o.meter_id = a.meter_id
            OR o.meter_id IS NULL AND o.division = p.division AND o.feeder = p.feeder
               AND (o.transformer = p.transformer OR o.kind = 'feeder'))
       AND a.off_at BETWEEN o.first_seen - make_interval(secs => %(together_s)s)
                        AND o.last_off + make_interval(secs => %(together_s)s)
    WHERE a.outage_id IS NULL AND a.meter_id = ANY (%(meters)s::int[])
    ORDER BY a.meter_id, a.off_at, abs(extract(epoch FROM o.first_seen - a.off_at)), o.id
) n
WHERE r.meter_id = n.meter_id AND r.off_at = n.off_at
