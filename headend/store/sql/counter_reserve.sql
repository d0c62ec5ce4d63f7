-- Spends n counters of each key in one statement; a key with too few left is not in the answer.
INSERT INTO invocation_counter AS c (meter_key_id, system_title, highest)
SELECT id, %(title)s, %(n)s FROM unnest(%(keys)b::int[]) AS id ORDER BY id
ON CONFLICT (meter_key_id, system_title) DO UPDATE SET highest = c.highest + %(n)s
WHERE c.highest <= 4294967295 - %(n)s
RETURNING c.meter_key_id, c.highest - %(n)s + 1, c.alarm
