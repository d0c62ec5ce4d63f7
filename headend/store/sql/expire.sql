-- Moves watermarks past the slots that the meter no longer holds, and tells how many of those were never stored.
WITH overdue AS (
    SELECT w.meter_id, w.settled, m.interval_s, slot_from(%(horizon)s, m.interval_s) AS horizon
    FROM watermark w JOIN meter m ON m.id = w.meter_id
    WHERE w.meter_id = ANY (%(meters)b::int[]) AND w.profile = %(profile)s AND w.settled < slot_from(%(horizon)s, m.interval_s)
    ORDER BY w.meter_id
    FOR UPDATE OF w
), moved AS (
    UPDATE watermark w SET settled = next_unstored(o.meter_id, o.horizon)
    FROM overdue o
    WHERE w.meter_id = o.meter_id AND w.profile = %(profile)s
)
SELECT meter_id,
       (extract(epoch FROM horizon - settled) / interval_s)::bigint
       - (SELECT count(*) FROM interval_reading r
          WHERE r.meter_id = overdue.meter_id AND r.ts >= overdue.settled AND r.ts < overdue.horizon)
FROM overdue
