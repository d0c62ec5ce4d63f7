-- How far logs are read: what the latest read found.
INSERT INTO event_mark AS m (meter_id, log, sequence, occurred_at, read_at)
SELECT DISTINCT ON (meter_id, log) meter_id, log, sequence, occurred_at, read_at
FROM unnest(%(meters)b::int[], %(log)b::text[], %(sequence)b::bigint[], %(occurred_at)b::timestamptz[],
            %(read_at)b::timestamptz[]) AS n (meter_id, log, sequence, occurred_at, read_at)
ORDER BY meter_id, log, read_at DESC
ON CONFLICT (meter_id, log) DO UPDATE
SET sequence = EXCLUDED.sequence, occurred_at = EXCLUDED.occurred_at, read_at = EXCLUDED.read_at
WHERE m.read_at < EXCLUDED.read_at
