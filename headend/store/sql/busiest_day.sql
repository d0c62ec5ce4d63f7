-- The last whole local day before `until`, of the meter that used the most on it.
WITH day AS (
    SELECT (%(until)s AT TIME ZONE utility_zone())::date - 1 AS local_day
), busiest AS (
    SELECT meter
    FROM load_profile JOIN day USING (local_day)
    WHERE starts_at >= %(until)s - INTERVAL '2 days'
    GROUP BY meter
    ORDER BY sum(kwh_import) DESC, meter
    LIMIT 1
)
SELECT meter, local_start, kwh_import * 3600 / interval_s AS kw
FROM load_profile JOIN day USING (local_day) JOIN busiest USING (meter)
WHERE starts_at >= %(until)s - INTERVAL '2 days'
ORDER BY starts_at
