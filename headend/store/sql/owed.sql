-- What meters owe: slots that have ended, from the watermark on, that neither a row nor a proven absence covers. Each of
-- those reaches to its own end; a gap is what lies between the furthest end so far and the next start (or the bounds).
-- Gaps of a meter are joined into few ranges: the widest separations stay apart, at most max_ranges - 1 of them, and
-- none as short as `near`. `margin`: a slot more on each side where rows follow, as the proof of an absence needs it.
WITH asked AS MATERIALIZED (
    SELECT m.id AS meter_id, z.zone, m.interval_s,
           greatest(w.settled,
                    first_slot(%(profile)s, greatest(m.commissioned_at, %(horizon)s), m.interval_s, z.zone)) AS first,
           slot_begun(%(profile)s, %(now)s, m.interval_s, z.zone) AS until
    FROM meter m CROSS JOIN utility z LEFT JOIN watermark w ON w.meter_id = m.id AND w.profile = %(profile)s
    WHERE m.id = ANY (%(meters)b::int[])
), edge AS (
    SELECT a.meter_id, a.until, a.interval_s, a.zone, lead(e.starts) OVER by_start AS next,
           max(e.ends) OVER (by_start ROWS UNBOUNDED PRECEDING) AS reach
    FROM asked a CROSS JOIN LATERAL (
        SELECT a.first - INTERVAL '1 hour' AS starts, a.first AS ends
        UNION ALL
        SELECT s.starts, s.ends
        FROM stored_slot s
        WHERE s.meter_id = a.meter_id AND s.profile = %(profile)s
          AND s.starts > a.first - INTERVAL '1 hour' AND s.starts < a.until  -- a longer row may reach over the watermark
          AND s.starts >= %(horizon)s - INTERVAL '1 day' AND s.starts < %(now)s
        UNION ALL
        SELECT b.starts, b.ends
        FROM absence b
        WHERE b.meter_id = a.meter_id AND b.profile = %(profile)s AND b.proven_at IS NOT NULL
          AND b.ends > a.first AND b.starts < a.until
        UNION ALL
        SELECT a.until, a.until
    ) e
    WHERE a.first < a.until
    WINDOW by_start AS (PARTITION BY a.meter_id ORDER BY e.starts)
), gap AS (
    SELECT meter_id, until, interval_s, zone, reach AS starts, next AS ends,
           reach - lag(next) OVER (PARTITION BY meter_id ORDER BY reach) AS apart
    FROM edge
    WHERE reach < next
), ranked AS (
    SELECT gap.*,
           apart > %(near)s AND row_number() OVER (PARTITION BY meter_id ORDER BY apart DESC NULLS LAST, starts)
                                < %(max_ranges)s AS begins
    FROM gap
), numbered AS (
    SELECT ranked.*, count(*) FILTER (WHERE begins) OVER (PARTITION BY meter_id ORDER BY starts) AS part
    FROM ranked
)
SELECT meter_id,
       CASE WHEN %(margin)s AND min(ends) < until THEN slot_after(%(profile)s, min(starts), -1, interval_s, zone)
            ELSE min(starts) END,
       CASE WHEN %(margin)s AND max(ends) < until THEN slot_after(%(profile)s, max(ends), 1, interval_s, zone)
            ELSE max(ends) END
FROM numbered
GROUP BY meter_id, part, until, interval_s, zone
ORDER BY meter_id, part
