-- The times without power of these meters, told anew from all that is known of them since a moment: their events, and
-- the ends of the times that were told before. Bits of evidence from 16 on say that there is power.
WITH told AS MATERIALIZED (
    SELECT e.meter_id, least(e.occurred_at, e.read_at) AS at, v.evidence
    FROM meter_event e
    JOIN unnest(%(makers)s::text[], %(codes)s::int[], %(evidence)s::int[]) AS v (maker, code, evidence)
        ON v.maker = e.maker AND v.code = e.code
    WHERE e.meter_id = ANY (%(meters)s::int[]) AND e.occurred_at >= %(since)s
    UNION ALL
    SELECT r.meter_id, r.off_at, r.evidence & 15
    FROM outage_meter r
    WHERE r.meter_id = ANY (%(meters)s::int[]) AND coalesce(r.on_at, 'infinity') >= %(since)s
    UNION ALL
    SELECT r.meter_id, r.on_at, r.evidence & ~15
    FROM outage_meter r
    WHERE r.meter_id = ANY (%(meters)s::int[]) AND r.on_at >= %(since)s
), heard AS (
    -- At one moment off comes first; a last gasp just after power came back was late on its way.
    SELECT meter_id, at, evidence,
           max(at) FILTER (WHERE evidence >= 16) OVER w AS last_on
    FROM told
    WINDOW w AS (PARTITION BY meter_id ORDER BY at, evidence >= 16 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), steps AS (
    SELECT meter_id, at, evidence,
           (evidence < 16 AND coalesce(lag(evidence >= 16) OVER w, true))::int AS begins
    FROM heard
    WHERE NOT (evidence = 1 AND coalesce(at - last_on <= make_interval(secs => %(late_s)s), false))
    WINDOW w AS (PARTITION BY meter_id ORDER BY at, evidence >= 16)
), numbered AS (
    SELECT meter_id, at, evidence,
           sum(begins) OVER (PARTITION BY meter_id ORDER BY at, evidence >= 16 ROWS UNBOUNDED PRECEDING) AS nth
    FROM steps
), spans AS MATERIALIZED (
    SELECT meter_id, min(at) FILTER (WHERE evidence < 16) AS off_at, min(at) FILTER (WHERE evidence >= 16) AS on_at,
           bit_or(evidence) AS evidence
    FROM numbered
    WHERE nth > 0
    GROUP BY meter_id, nth
    HAVING min(at) FILTER (WHERE evidence >= 16) IS NULL
        OR min(at) FILTER (WHERE evidence >= 16) > min(at) FILTER (WHERE evidence < 16)
), gone AS (
    DELETE FROM outage_meter r
    WHERE r.meter_id = ANY (%(meters)s::int[]) AND coalesce(r.on_at, 'infinity') >= %(since)s
      AND NOT EXISTS (SELECT FROM spans s WHERE s.meter_id = r.meter_id AND s.off_at = r.off_at)
)
INSERT INTO outage_meter AS r (meter_id, off_at, on_at, evidence)
SELECT meter_id, off_at, on_at, evidence FROM spans ORDER BY meter_id, off_at
ON CONFLICT (meter_id, off_at) DO UPDATE SET on_at = EXCLUDED.on_at, evidence = EXCLUDED.evidence
WHERE (r.on_at, r.evidence) IS DISTINCT FROM (EXCLUDED.on_at, EXCLUDED.evidence)
