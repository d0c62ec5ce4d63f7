-- What complete reads say of slots that are not stored. A slot counts as seen missing where the read had a slot more on
-- each side, a row after it is stored, and by the meter's clock (at least as late as its last row's end) it ended an
-- hour ago or more. Seen missing again by a read half an hour later or more, it is proven absent. Answers with all
-- spans that are to stand in place of the unproven ones of the meters concerned.
WITH covered AS MATERIALIZED (
    SELECT c.meter_id, c.read_at, m.interval_s, z.zone,
           greatest(
               slot_after(%(profile)s, first_slot(%(profile)s, c.starts, m.interval_s, z.zone), 1, m.interval_s, z.zone),
               first_slot(%(profile)s, m.commissioned_at, m.interval_s, z.zone)) AS first,
           slot_begun(%(profile)s,
               least(slot_after(%(profile)s, c.ends, -1, m.interval_s, z.zone), last.starts,
                     coalesce(c.meter_time, last.ends) - INTERVAL '1 hour'), m.interval_s, z.zone) AS until
    FROM unnest(%(meters)b::int[], %(starts)b::timestamptz[], %(ends)b::timestamptz[],
                %(read_at)b::timestamptz[], %(meter_time)b::timestamptz[])
        AS c (meter_id, starts, ends, read_at, meter_time)
    JOIN meter m ON m.id = c.meter_id CROSS JOIN utility z
    CROSS JOIN LATERAL (
        SELECT s.starts, s.ends FROM stored_slot s
        WHERE s.meter_id = c.meter_id AND s.profile = %(profile)s
        ORDER BY s.starts DESC LIMIT 1
    ) last
), missing AS (
    SELECT c.meter_id, range_agg(gap) AS spans, min(c.read_at) AS earliest, max(c.read_at) AS latest
    FROM covered c CROSS JOIN LATERAL unnest(
        tstzmultirange(tstzrange(c.first, c.until))
        - coalesce((SELECT range_agg(tstzrange(s.starts, s.ends)) FROM stored_slot s
                    WHERE s.meter_id = c.meter_id AND s.profile = %(profile)s
                      AND s.starts > c.first - INTERVAL '1 hour' AND s.starts < c.until), '{}')
        - coalesce((SELECT range_agg(tstzrange(a.starts, a.ends)) FROM absence a
                    WHERE a.meter_id = c.meter_id AND a.profile = %(profile)s AND a.proven_at IS NOT NULL), '{}')) AS gap
    WHERE c.first < c.until
    GROUP BY c.meter_id
), seen AS (
    SELECT m.meter_id, m.spans, m.latest, a.first_seen, tstzmultirange(tstzrange(a.starts, a.ends)) AS span,
           m.earliest >= a.first_seen + INTERVAL '30 minutes' AS again
    FROM missing m JOIN absence a ON a.meter_id = m.meter_id AND a.profile = %(profile)s AND a.proven_at IS NULL
    JOIN watermark w ON w.meter_id = m.meter_id AND w.profile = %(profile)s AND w.settled < a.ends
)
SELECT meter_id, lower(part), upper(part), first_seen, latest
FROM seen CROSS JOIN unnest(span * spans) AS part WHERE again
UNION ALL
SELECT meter_id, lower(part), upper(part), first_seen, NULL
FROM seen CROSS JOIN unnest(CASE WHEN again THEN span - spans ELSE span END) AS part
UNION ALL
SELECT m.meter_id, lower(part), upper(part), m.latest, NULL
FROM missing m CROSS JOIN unnest(
    m.spans - coalesce((SELECT range_agg(range) FROM seen s CROSS JOIN unnest(s.span) AS range
                        WHERE s.meter_id = m.meter_id), '{}')) AS part
