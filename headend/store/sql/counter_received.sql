-- Settles counters of meters; those that do not rise above what was settled before are not in the answer.
INSERT INTO invocation_counter AS c (meter_key_id, system_title, highest)
SELECT key, title, counter
FROM unnest(%(keys)b::int[], %(titles)b::bytea[], %(counters)b::bigint[]) AS r (key, title, counter)
ORDER BY key, title
ON CONFLICT (meter_key_id, system_title) DO UPDATE SET highest = EXCLUDED.highest
WHERE EXCLUDED.highest > c.highest
RETURNING c.meter_key_id, c.system_title
