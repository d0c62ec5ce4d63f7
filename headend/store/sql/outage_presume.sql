-- Meters that were only silent keep no outage open: theirs ends when all others of it have power again.
UPDATE outage_meter r SET on_at = n.on_at, evidence = r.evidence | 128
FROM (
    SELECT a.outage_id, max(a.on_at) AS on_at
    FROM outage_meter a
    JOIN outage o ON o.id = a.outage_id
    WHERE o.closed_at IS NULL OR o.id = ANY (%(outages)s::int[])
    GROUP BY a.outage_id
    HAVING bool_or(a.on_at IS NOT NULL) AND bool_and(a.on_at IS NOT NULL OR a.evidence = 4)
) n
WHERE r.outage_id = n.outage_id AND r.on_at IS NULL
