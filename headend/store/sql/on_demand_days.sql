-- How long people waited, by day in the utility's zone.
SELECT local_day(o.asked_at, z.zone) AS day, count(*) AS reads,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM o.done_at - o.asked_at)) AS p50_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM o.done_at - o.asked_at)) AS p95_s
FROM on_demand o CROSS JOIN utility z
WHERE o.asked_at >= day_start(%(first)s, z.zone) AND o.asked_at < day_start(%(until)s + 1, z.zone)
GROUP BY 1
