-- Counts the days of meters again, each as far as it was counted before, and shows where what is kept differs: a day's
-- counts, a day that is not kept though something is known of it or it lies before the watermark, and (without a day)
-- watermarks that have passed something owed or could go further. Days whose readings may have been dropped are left out.
WITH mark AS (
    SELECT m.id, m.name, z.zone, w.settled, first_slot(%(profile)s, m.commissioned_at, m.interval_s, z.zone) AS begins
    FROM meter m CROSS JOIN utility z LEFT JOIN watermark w ON w.meter_id = m.id AND w.profile = %(profile)s
    WHERE m.id = ANY (%(meters)b::int[])
), known AS (
    SELECT s.meter_id, local_day(s.starts, z.zone) AS day
    FROM stored_slot s CROSS JOIN utility z
    WHERE s.meter_id = ANY (%(meters)b::int[]) AND s.profile = %(profile)s
    UNION
    SELECT a.meter_id, d::date
    FROM absence a CROSS JOIN utility z
    CROSS JOIN generate_series(local_day(a.starts, z.zone)::timestamp,
                               local_day(a.ends - INTERVAL '1 microsecond', z.zone), '1 day') AS d
    WHERE a.meter_id = ANY (%(meters)b::int[]) AND a.profile = %(profile)s AND a.proven_at IS NOT NULL
    UNION
    SELECT k.id, d::date
    FROM mark k CROSS JOIN generate_series(local_day(k.begins, k.zone)::timestamp,
                                           local_day(k.settled - INTERVAL '1 microsecond', k.zone), '1 day') AS d
    WHERE k.begins < k.settled
), kept AS (
    SELECT d.* FROM meter_day d WHERE d.meter_id = ANY (%(meters)b::int[]) AND d.profile = %(profile)s
), task AS (
    SELECT meter_id, day, coalesce(k.counted_until, '-infinity') AS until
    FROM known FULL JOIN kept k USING (meter_id, day)
    WHERE day >= (SELECT local_day(u.readings_since, z.zone) FROM upkeep u CROSS JOIN utility z)
), counted AS MATERIALIZED (
    SELECT c.* FROM (SELECT array_agg(meter_id) AS meters, array_agg(day) AS days, array_agg(until) AS until FROM task) t
    CROSS JOIN LATERAL count_days(%(profile)s, t.meters, t.days, t.until) c
), judged AS (
    SELECT meter_id, day,
           CASE WHEN k.meter_id IS NOT NULL THEN jsonb_build_object(
               'due', k.due, 'stored', k.stored, 'absent', k.absent, 'expired', k.expired, 'within_8h', k.within_8h,
               'within_24h', k.within_24h, 'counted_until', k.counted_until, 'complete', k.complete_at IS NOT NULL) END AS kept,
           CASE WHEN c.meter_id IS NOT NULL THEN jsonb_build_object(
               'due', c.due, 'stored', c.stored, 'absent', c.absent, 'expired', c.expired, 'within_8h', c.within_8h,
               'within_24h', c.within_24h, 'counted_until', c.counted_until,
               'complete', c.first_owed IS NULL AND c.counted_until = c.day_ends) END AS counted
    FROM counted c FULL JOIN kept k USING (meter_id, day)
), owing AS (
    SELECT meter_id, min(first_owed) AS first FROM counted GROUP BY meter_id
)
SELECT k.name, j.day, j.kept, j.counted
FROM judged j JOIN mark k ON k.id = j.meter_id
WHERE j.kept IS DISTINCT FROM j.counted
UNION ALL
SELECT k.name, NULL, jsonb_build_object('settled', k.settled), jsonb_build_object('settled', w.settled)
FROM mark k LEFT JOIN owing o ON o.meter_id = k.id
CROSS JOIN LATERAL (
    SELECT CASE WHEN o.first < k.settled THEN o.first ELSE next_owed(k.id, %(profile)s, k.settled) END AS settled
) w
WHERE k.settled <> w.settled
ORDER BY 1, 2
