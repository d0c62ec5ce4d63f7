-- Where the gaps of a meter are: owed, seen missing once, proven absent, expired; the latest first.
SELECT kind, starts_at, ends_at
FROM (
    SELECT 'owed' AS kind, o.starts_at, o.ends_at FROM owed_spans(%(profile)s, %(now)s) o WHERE o.meter = %(meter)s
    UNION ALL
    SELECT CASE WHEN a.proven_at IS NULL THEN 'seen missing' WHEN a.reason = 'expired' THEN 'expired' ELSE 'absent' END,
           a.starts, a.ends
    FROM absence a JOIN meter m ON m.id = a.meter_id
    WHERE m.name = %(meter)s AND a.profile = %(profile)s
) s
ORDER BY starts_at DESC, kind
LIMIT %(limit)s
