-- Transformers of one feeder that lost power together: their outages become one of the feeder.
WITH open AS MATERIALIZED (
    SELECT o.id, o.division, o.feeder, o.kind, o.first_seen, o.last_off,
           sum(o.apart) OVER (PARTITION BY o.division, o.feeder ORDER BY o.first_seen, o.id ROWS UNBOUNDED PRECEDING) AS nth
    FROM (
        SELECT id, division, feeder, kind, first_seen, last_off,
               coalesce(first_seen - lag(last_off) OVER (PARTITION BY division, feeder ORDER BY first_seen, id)
                        > make_interval(secs => %(together_s)s), false)::int AS apart
        FROM outage
        WHERE closed_at IS NULL AND feeder <> '' AND meter_id IS NULL
    ) o
), size AS (
    SELECT p.division, p.feeder, count(DISTINCT p.transformer) AS transformers
    FROM meter_place p
    WHERE p.transformer <> '' AND (p.division, p.feeder) IN (SELECT division, feeder FROM open GROUP BY 1, 2 HAVING count(*) > 1)
    GROUP BY p.division, p.feeder
), whole AS MATERIALIZED (
    SELECT open.division, open.feeder, open.nth, min(first_seen) AS first_seen, max(last_off) AS last_off,
           (array_agg(open.id ORDER BY open.kind = 'feeder' DESC, open.id))[1] AS kept, array_agg(open.id) AS ids
    FROM open JOIN size s ON s.division = open.division AND s.feeder = open.feeder
    GROUP BY open.division, open.feeder, open.nth, s.transformers
    HAVING count(*) > 1
       AND (bool_or(open.kind = 'feeder')
            OR count(*) FILTER (WHERE open.kind = 'transformer')
               >= greatest(2, %(feeder_transformers)s, %(feeder_share)s * s.transformers))
), moved AS (
    UPDATE outage_meter r SET outage_id = w.kept FROM whole w WHERE r.outage_id = ANY (w.ids) AND r.outage_id <> w.kept
), grown AS (
    UPDATE outage o SET kind = 'feeder', transformer = '', first_seen = w.first_seen, last_off = w.last_off
    FROM whole w WHERE o.id = w.kept
)
DELETE FROM outage o USING whole w WHERE o.id = ANY (w.ids) AND o.id <> w.kept
RETURNING w.kept
