INSERT INTO event_mark AS m (meter_id, log, sequence, occurred_at)
SELECT DISTINCT ON (meter_id, log) meter_id, log, sequence, occurred_at
FROM unnest(%(meter_id)b::int[], %(log)b::text[], %(sequence)b::bigint[], %(occurred_at)b::timestamptz[])
    AS s (meter_id, log, sequence, occurred_at)
ORDER BY meter_id, log, occurred_at DESC NULLS LAST
ON CONFLICT (meter_id, log) DO UPDATE SET sequence = EXCLUDED.sequence, occurred_at = EXCLUDED.occurred_at
WHERE m.occurred_at IS NULL OR EXCLUDED.occurred_at >= m.occurred_at
