-- Which form of the interval tables was made here, and under which licence TimescaleDB runs.
SELECT CASE WHEN name LIKE '%.timescaledb.%' THEN current_setting('timescaledb.license') ELSE 'postgresql' END
FROM schema_migration
WHERE name LIKE '%.timescaledb.%' OR name LIKE '%.postgresql.%'
ORDER BY number
LIMIT 1
