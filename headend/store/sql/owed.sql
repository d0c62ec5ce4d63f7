-- What meters owe: slots that have ended, from the watermark on, without a row. Every stored row reaches to its own
-- end; a gap is what lies between that and the next row (or the bounds). Gaps of a meter are joined into few ranges:
-- the widest separations stay apart, at most max_ranges - 1 of them, and none as short as `near`.
WITH asked AS (
    SELECT m.id AS meter_id,
           greatest(coalesce(w.settled, '-infinity'),
                    slot_from(greatest(m.commissioned_at, %(horizon)s), m.interval_s)) AS first,
           slot_of(%(now)s, m.interval_s) AS until
    FROM meter m LEFT JOIN watermark w ON w.meter_id = m.id AND w.profile = %(profile)s
    WHERE m.id = ANY (%(meters)b::int[])
), edge AS (
    SELECT a.meter_id, e.covered_until, lead(e.starts) OVER (PARTITION BY a.meter_id ORDER BY e.starts) AS next
    FROM asked a CROSS JOIN LATERAL (
        SELECT a.first - INTERVAL '1 second' AS starts, a.first AS covered_until
        UNION ALL
        SELECT r.ts, r.ts + make_interval(secs => r.interval_s)
        FROM interval_reading r
        WHERE r.meter_id = a.meter_id AND r.ts >= a.first AND r.ts < a.until
          AND r.ts >= %(horizon)s AND r.ts < %(now)s
        UNION ALL
        SELECT a.until, a.until
    ) e
    WHERE a.first < a.until
), gap AS (
    SELECT meter_id, covered_until AS starts, next AS ends,
           covered_until - lag(next) OVER (PARTITION BY meter_id ORDER BY covered_until) AS apart
    FROM edge
    WHERE covered_until < next
), ranked AS (
    SELECT meter_id, starts, ends,
           apart > %(near)s AND row_number() OVER (PARTITION BY meter_id ORDER BY apart DESC NULLS LAST, starts)
                                < %(max_ranges)s AS begins
    FROM gap
), numbered AS (
    SELECT meter_id, starts, ends, count(*) FILTER (WHERE begins) OVER (PARTITION BY meter_id ORDER BY starts) AS part
    FROM ranked
)
SELECT meter_id, min(starts), max(ends)
FROM numbered
GROUP BY meter_id, part
ORDER BY meter_id, part
