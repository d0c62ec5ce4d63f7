-- Adds rows that were not there before to the counts of their days, without a look at the rows beside them: that is
-- right where all of the day stands on the grid of the meter's present period, and nothing of it is absent or expired.
-- Answers with the days that have to be counted from their rows. OFFSET 0 keeps the planner at one look into an index
-- for each meter and day, whatever it believes about sizes; `zone` is given since it takes utility for a large table.
WITH new AS MATERIALIZED (
    SELECT n.meter_id, local_day(n.first, %(zone)s) AS day, n.first, n.until, n.period, n.intervals, n.within_8h,
           n.within_24h
    FROM unnest(%(meters)b::int[], %(first)b::timestamptz[], %(until)b::timestamptz[], %(period)b::int[],
                %(intervals)b::int[], %(within_8h)b::int[], %(within_24h)b::int[])
        AS n (meter_id, first, until, period, intervals, within_8h, within_24h)
), placed AS MATERIALIZED (
    SELECT n.meter_id, n.day, n.first, n.until, b.begins, b.ends, n.period, d.complete_at,
           coalesce(d.stored, 0) + n.intervals AS stored,
           coalesce(d.within_8h, 0) + n.within_8h AS within_8h, coalesce(d.within_24h, 0) + n.within_24h AS within_24h,
           least(b.ends, greatest(b.begins, d.counted_until, n.until,
                                  slot_begun('block_load', %(now)s, m.interval_s, %(zone)s))) AS counted_until,
           n.period = m.interval_s AND n.first >= b.begins AND CASE
               WHEN d.meter_id IS NULL THEN NOT EXISTS (
                   SELECT FROM period_before p WHERE p.meter_id = n.meter_id AND p.until > b.begins)
               ELSE d.interval_s IS NOT DISTINCT FROM n.period AND d.absent = 0 AND d.expired = 0
           END AS plain
    FROM new n
    CROSS JOIN LATERAL (
        SELECT m.interval_s, m.commissioned_at FROM meter m WHERE m.id = n.meter_id OFFSET 0
    ) m
    LEFT JOIN LATERAL (
        SELECT * FROM meter_day d
        WHERE d.meter_id = n.meter_id AND d.profile = 'block_load' AND d.day = n.day OFFSET 0
    ) d ON true
    CROSS JOIN LATERAL (
        -- OFFSET 0: worked out once a row, not once a mention.
        SELECT greatest(day_start(n.day, %(zone)s),
                        first_slot('block_load', m.commissioned_at, m.interval_s, %(zone)s)) AS begins,
               day_start(n.day + 1, %(zone)s) AS ends
        OFFSET 0
    ) b
), judged AS MATERIALIZED (
    -- More than are due: somebody removed rows since they were counted.
    SELECT p.*, due, p.plain AND p.stored <= due AS adds_up
    FROM placed p CROSS JOIN LATERAL (
        SELECT CASE WHEN p.plain THEN extract(epoch FROM p.counted_until - p.begins)::int / p.period END AS due
    ) d
), kept AS (
    INSERT INTO meter_day AS d (meter_id, profile, day, counted_until, complete_at, interval_s, due, stored, absent,
                                expired, within_8h, within_24h)
    SELECT meter_id, 'block_load', day, counted_until,
           CASE WHEN stored = due AND counted_until = ends THEN coalesce(complete_at, %(now)s) END,
           period, due, stored, 0, 0, within_8h, within_24h
    FROM judged
    WHERE adds_up
    ORDER BY meter_id, day
    ON CONFLICT (meter_id, profile, day) DO UPDATE
    SET counted_until = EXCLUDED.counted_until, complete_at = EXCLUDED.complete_at, due = EXCLUDED.due,
        stored = EXCLUDED.stored, within_8h = EXCLUDED.within_8h, within_24h = EXCLUDED.within_24h
)
SELECT meter_id, first, until FROM judged WHERE adds_up IS NOT TRUE
