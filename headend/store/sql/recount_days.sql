-- Counts the days that spans of time touch. Where a row of a shorter period took a longer one's place, what is owed
-- again lies before the watermark, which goes back there.
WITH touched AS (
    SELECT DISTINCT s.meter_id, d::date AS day
    FROM unnest(%(meters)b::int[], %(first)b::timestamptz[], %(until)b::timestamptz[]) AS s (meter_id, first, until)
    CROSS JOIN utility z
    CROSS JOIN generate_series(local_day(s.first, z.zone)::timestamp,
                               local_day(s.until - INTERVAL '1 microsecond', z.zone), '1 day') AS d
), task AS (
    SELECT t.meter_id, t.day,
           greatest(d.counted_until, slot_begun(%(profile)s, %(now)s, m.interval_s, z.zone)) AS until
    FROM touched t JOIN meter m ON m.id = t.meter_id CROSS JOIN utility z
    LEFT JOIN meter_day d ON d.meter_id = t.meter_id AND d.profile = %(profile)s AND d.day = t.day
    ORDER BY t.meter_id, t.day
)
UPDATE watermark w SET settled = c.first_owed
FROM (SELECT array_agg(meter_id) AS meters, array_agg(day) AS days, array_agg(until) AS until FROM task) t
CROSS JOIN LATERAL recount_days(%(profile)s, t.meters, t.days, t.until, %(now)s) c
WHERE w.meter_id = c.meter_id AND w.profile = %(profile)s AND w.settled > c.first_owed
