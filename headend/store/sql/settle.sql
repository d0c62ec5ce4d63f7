-- Moves watermarks over what has been stored, or proven never to come.
UPDATE watermark w
SET settled = s.settled
FROM (
    SELECT w.meter_id, next_owed(w.meter_id, w.profile, w.settled) AS settled
    FROM watermark w
    WHERE w.meter_id = ANY (%(meters)b::int[]) AND w.profile = %(profile)s
) s
WHERE w.meter_id = s.meter_id AND w.profile = %(profile)s AND w.settled < s.settled
