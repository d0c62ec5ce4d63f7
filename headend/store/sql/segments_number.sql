-- Buckets, filled up one after the other with at most %(bucket)s meters each.
WITH last AS (
    SELECT substring(s.name FROM 8)::int AS number,
           (SELECT count(*) FROM meter m WHERE m.segment_id = s.id) AS meters
    FROM segment s
    WHERE s.kind = 'bucket' AND s.name ~ '^bucket \d{1,9}$'
    UNION ALL
    SELECT 0, 0
    ORDER BY number DESC
    LIMIT 1
), numbered AS (
    SELECT meter_id, row_number() OVER (ORDER BY meter_id) - 1 AS nth FROM wanted WHERE name IS NULL
)
UPDATE wanted w
SET name = 'bucket ' || last.number + (least(last.meters, %(bucket)s) + n.nth) / %(bucket)s
FROM numbered n, last
WHERE w.meter_id = n.meter_id
