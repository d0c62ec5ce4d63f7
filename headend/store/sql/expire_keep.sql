-- Keeps spans that are lost, each as one with the expired span that it continues.
WITH lost AS (
    SELECT meter_id, starts, ends
    FROM unnest(%(meters)b::int[], %(first)b::timestamptz[], %(until)b::timestamptz[]) AS l (meter_id, starts, ends)
), continued AS (
    UPDATE absence a SET ends = l.ends FROM lost l
    WHERE a.meter_id = l.meter_id AND a.profile = %(profile)s AND a.reason = 'expired' AND a.ends = l.starts
    RETURNING l.meter_id, l.starts
)
INSERT INTO absence (meter_id, profile, starts, ends, reason, first_seen, proven_at)
SELECT l.meter_id, %(profile)s, l.starts, l.ends, 'expired', %(now)s, %(now)s
FROM lost l WHERE NOT EXISTS (SELECT FROM continued c WHERE c.meter_id = l.meter_id AND c.starts = l.starts)
