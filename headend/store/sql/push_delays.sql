-- From the end of an interval to its row, of those that were pushed, by day in the utility's zone: of about `meters`
-- meters, evenly taken, since a day of all of them is too much to look at.
SELECT local_day(r.ts, z.zone) AS day, count(*) AS intervals,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM r.read_at - r.ts) - r.interval_s) AS p50_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM r.read_at - r.ts) - r.interval_s) AS p95_s
FROM utility z
CROSS JOIN (SELECT id FROM meter
            WHERE mod(id, greatest(1, (SELECT count(*) FROM meter) / %(meters)s)::int) = 0) m
JOIN interval_reading r ON r.meter_id = m.id
WHERE r.ts >= day_start(%(first)s, z.zone) AND r.ts < day_start(%(until)s + 1, z.zone) AND r.source = %(push)s
GROUP BY 1
