-- Merges rows of profiles, of which none comes twice. Only values (and their units) are compared: a row with the same
-- ones is left alone. Of two that differ the one with the later read_at wins object by object, whichever came first;
-- what it lacks stays. A row that lost a value goes to profile_revision, once. Answers with every row that changed.
WITH given AS MATERIALIZED (
    SELECT meter_id, profile, ts, read_at, source, quality, "values"::jsonb AS "values", units::jsonb AS units
    FROM unnest(%(meters)b::int[], %(profile)b::text[], %(ts)b::timestamptz[], %(read_at)b::timestamptz[],
                %(source)b::smallint[], %(quality)b::int[], %(values)b::text[], %(units)b::text[])
        AS g (meter_id, profile, ts, read_at, source, quality, "values", units)
), pair AS MATERIALIZED (
    SELECT g.read_at > r.read_at AS newer, ROW (g.meter_id, g.quality, g.ts, g.read_at, g.source, g.profile, g."values", g.units)::profile_reading AS given,
           ROW (r.*)::profile_reading AS stored
    FROM given g JOIN profile_reading r ON r.meter_id = g.meter_id AND r.profile = g.profile AND r.ts = g.ts
    WHERE r.ts BETWEEN %(earliest)s AND %(latest)s AND (r."values", r.units) IS DISTINCT FROM (g."values", g.units)
), ordered AS (
    SELECT stored, CASE WHEN newer THEN given ELSE stored END AS later, CASE WHEN newer THEN stored ELSE given END AS earlier
    FROM pair
), judged AS MATERIALIZED (
    SELECT o.stored, o.later, o.earlier, v.conflict, v.merged, v.units,
           (o.later).quality
           | CASE WHEN v.mixed THEN (o.earlier).quality ELSE (o.earlier).quality & %(corrected)s END
           | CASE WHEN v.conflict THEN %(corrected)s ELSE 0 END AS quality,
           (v.merged, v.units) IS DISTINCT FROM ((o.stored)."values", (o.stored).units) AS changed
    FROM ordered o CROSS JOIN LATERAL (
        SELECT (o.earlier)."values" || (o.later)."values" AS merged,
               -- An object of which the later row has no unit has none, also where the earlier one had.
               ((o.earlier).units - ARRAY(SELECT jsonb_object_keys((o.later)."values"))) || (o.later).units AS units,
               coalesce(bool_or((e.value, (o.earlier).units -> e.key)
                                IS DISTINCT FROM ((o.later)."values" -> e.key, (o.later).units -> e.key))
                        FILTER (WHERE (o.later)."values" ? e.key), false) AS conflict,
               coalesce(bool_or(NOT (o.later)."values" ? e.key), false) AS mixed
        FROM jsonb_each((o.earlier)."values") e
    ) v
), revised AS (
    INSERT INTO profile_revision
    SELECT (earlier).* FROM judged j
    WHERE conflict AND NOT EXISTS (
        SELECT FROM profile_revision v
        WHERE v.meter_id = (earlier).meter_id AND v.profile = (earlier).profile AND v.ts = (earlier).ts
          AND v.read_at = (earlier).read_at AND v."values" = (earlier)."values" AND v.units = (earlier).units)
    RETURNING meter_id, profile, ts
), updated AS (
    UPDATE profile_reading r
    SET "values" = j.merged, units = j.units, quality = j.quality, read_at = (j.later).read_at, source = (j.later).source
    FROM judged j
    WHERE r.meter_id = (j.stored).meter_id AND r.profile = (j.stored).profile AND r.ts = (j.stored).ts
      AND r.ts BETWEEN %(earliest)s AND %(latest)s
      AND (j.changed OR j.conflict AND (j.stored).quality & %(corrected)s = 0)
    RETURNING r.meter_id, r.profile, r.ts
), inserted AS (
    INSERT INTO profile_reading (meter_id, profile, ts, read_at, source, quality, "values", units)
    SELECT g.meter_id, g.profile, g.ts, g.read_at, g.source, g.quality, g."values", g.units FROM given g
    WHERE NOT EXISTS (
        SELECT FROM profile_reading r
        WHERE r.meter_id = g.meter_id AND r.profile = g.profile AND r.ts = g.ts
          AND r.ts BETWEEN %(earliest)s AND %(latest)s)
    ORDER BY g.meter_id, g.profile, g.ts
    ON CONFLICT DO NOTHING
    RETURNING meter_id, profile, ts
)
SELECT 'inserted', meter_id, profile, ts FROM inserted
UNION ALL SELECT 'updated', meter_id, profile, ts FROM updated
UNION ALL SELECT 'revised', meter_id, profile, ts FROM revised
