INSERT INTO absence (meter_id, profile, starts, ends, reason, first_seen, proven_at)
SELECT meter_id, %(profile)s, starts, ends, 'not_recorded', first_seen, proven_at
FROM unnest(%(meters)b::int[], %(starts)b::timestamptz[], %(ends)b::timestamptz[], %(first_seen)b::timestamptz[],
            %(proven_at)b::timestamptz[]) AS a (meter_id, starts, ends, first_seen, proven_at)
ORDER BY meter_id, starts
