-- What was seen missing by one read stays so only as far as it is not lost.
WITH lost AS (
    SELECT meter_id, starts, ends
    FROM unnest(%(meters)b::int[], %(first)b::timestamptz[], %(until)b::timestamptz[]) AS l (meter_id, starts, ends)
), gone AS (
    DELETE FROM absence a USING lost l
    WHERE a.meter_id = l.meter_id AND a.profile = %(profile)s AND a.proven_at IS NULL
      AND a.starts >= l.starts AND a.ends <= l.ends
)
UPDATE absence a SET starts = l.ends FROM lost l
WHERE a.meter_id = l.meter_id AND a.profile = %(profile)s AND a.proven_at IS NULL
  AND a.starts < l.ends AND a.ends > l.ends
