-- Answers with the transactions that were not taken in before.
INSERT INTO push_seen (meter_id, transaction, read_at)
SELECT meter_id, transaction, min(read_at)
FROM unnest(%(meters)b::int[], %(digests)b::bytea[], %(read_at)b::timestamptz[])
    AS p (meter_id, transaction, read_at)
GROUP BY meter_id, transaction
ORDER BY meter_id, transaction
ON CONFLICT DO NOTHING
RETURNING meter_id, transaction
