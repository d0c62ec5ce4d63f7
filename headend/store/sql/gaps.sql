-- How complete days are, by day, division or meter.
SELECT CASE %(by)s WHEN 'day' THEN d::date::text WHEN 'division' THEN l.division ELSE l.meter END,
       count(DISTINCT l.meter_id), sum(l.due)::bigint, sum(l.stored), sum(l.absent), sum(l.expired), sum(l.within_8h),
       sum(l.within_24h)
FROM generate_series(%(first)s::date::timestamp, %(last)s::date, '1 day') AS d
CROSS JOIN LATERAL ledger_day(%(profile)s, d::date, %(now)s) l
WHERE l.due > 0 AND (%(meter)s::text IS NULL OR l.meter = %(meter)s) AND (%(division)s::text IS NULL OR l.division = %(division)s)
GROUP BY 1
HAVING %(by)s <> 'meter' OR sum(l.due) > sum(l.stored)
ORDER BY CASE WHEN %(by)s = 'meter' THEN sum(l.stored + l.absent + l.expired) - sum(l.due) END, 1
LIMIT %(limit)s
