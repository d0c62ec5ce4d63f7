-- Segments with meters that are due for some of these tasks, those in most danger first: whose settled intervals reach
-- back farthest.
SELECT s.id, s.name, array_agg(DISTINCT t.task) AS tasks, max(m.types) AS types
FROM segment s
CROSS JOIN unnest(%(tasks)s::text[]) AS t (task)
LEFT JOIN schedule d ON d.segment_id = s.id AND d.task = t.task
JOIN LATERAL (
    SELECT array_agg(DISTINCT meter_type) AS types, min(w.settled) AS oldest
    FROM meter LEFT JOIN watermark w ON w.meter_id = meter.id AND w.profile = 'block_load'
    WHERE meter.segment_id = s.id AND (meter.parked_reason IS NULL OR meter.try_again_at <= %(now)s)
        AND meter.state <> 'retired'
    HAVING count(*) > 0
) m ON true
WHERE coalesce(d.due_at, '-infinity') <= %(now)s AND coalesce(s.try_again_at, '-infinity') <= %(now)s
GROUP BY s.id, s.name, m.oldest
ORDER BY m.oldest NULLS FIRST, s.id
LIMIT %(limit)s
