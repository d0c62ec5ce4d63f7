-- Rows of profiles, merged object by object: a later reading wins where both have a value, and a value is never lost to
-- none. A row that loses a value to another goes to profile_revision, once.
WITH staged AS MATERIALIZED (
    SELECT DISTINCT ON (meter_id, profile, ts) meter_id, profile, ts, "values", units, quality, read_at, source
    FROM unnest(%(meter_id)b::int[], %(profile)b::text[], %(ts)b::timestamptz[], %(values)b::jsonb[], %(units)b::jsonb[],
                %(quality)b::int[], %(read_at)b::timestamptz[], %(source)b::smallint[])
        AS s (meter_id, profile, ts, "values", units, quality, read_at, source)
    ORDER BY meter_id, profile, ts, read_at DESC
), pair AS MATERIALIZED (
    SELECT s.read_at > r.read_at AS newer, s.*, r."values" AS held, r.units AS held_units, r.quality AS held_quality,
           r.read_at AS held_read_at, r.source AS held_source
    FROM staged s JOIN profile_reading r USING (meter_id, profile, ts)
    WHERE s."values" <> r."values"
), judged AS MATERIALIZED (
    SELECT p.*, CASE WHEN newer THEN held || "values" ELSE "values" || held END AS merged,
           EXISTS (SELECT FROM jsonb_each(p."values") a WHERE p.held -> a.key <> a.value) AS conflict
    FROM pair p
), revised AS (
    INSERT INTO profile_revision (meter_id, profile, ts, "values", units, quality, read_at, source)
    SELECT meter_id, profile, ts, CASE WHEN newer THEN held ELSE "values" END,
           CASE WHEN newer THEN held_units ELSE units END, CASE WHEN newer THEN held_quality ELSE quality END,
           CASE WHEN newer THEN held_read_at ELSE read_at END, CASE WHEN newer THEN held_source ELSE source END
    FROM judged j
    WHERE conflict AND NOT EXISTS (
        SELECT FROM profile_revision v
        WHERE v.meter_id = j.meter_id AND v.profile = j.profile AND v.ts = j.ts
          AND v."values" = CASE WHEN j.newer THEN j.held ELSE j."values" END)
    RETURNING 1
), updated AS (
    UPDATE profile_reading r
    SET "values" = j.merged, units = j.held_units || j.units,
        quality = (j.quality | j.held_quality) | CASE WHEN j.conflict THEN %(corrected)s ELSE 0 END,
        read_at = greatest(j.read_at, j.held_read_at),
        source = CASE WHEN j.newer THEN j.source ELSE j.held_source END
    FROM judged j
    WHERE r.meter_id = j.meter_id AND r.profile = j.profile AND r.ts = j.ts AND j.merged <> j.held
    RETURNING 1
), inserted AS (
    INSERT INTO profile_reading (meter_id, profile, ts, "values", units, quality, read_at, source)
    SELECT meter_id, profile, ts, "values", units, quality, read_at, source FROM staged
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM inserted), (SELECT count(*) FROM updated), (SELECT count(*) FROM revised)
