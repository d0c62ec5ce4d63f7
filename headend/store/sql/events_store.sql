-- Stores events, of which none comes twice. Of one that is there already only what it lacks is added: its log and number
-- where it was told from a status bit or pushed, values beside it; a doubt stays only while all that was said has it.
INSERT INTO meter_event AS e (meter_id, occurred_at, code, nth, log, maker, sequence, "values", quality, read_at, source)
SELECT meter_id, occurred_at, code, nth, log, maker, sequence, "values"::jsonb, quality, read_at, source
FROM unnest(%(meters)b::int[], %(occurred_at)b::timestamptz[], %(code)b::int[], %(nth)b::smallint[], %(log)b::text[],
            %(maker)b::text[], %(sequence)b::bigint[], %(values)b::text[], %(quality)b::int[], %(read_at)b::timestamptz[],
            %(source)b::smallint[])
    AS n (meter_id, occurred_at, code, nth, log, maker, sequence, "values", quality, read_at, source)
ORDER BY occurred_at, meter_id, code, nth
ON CONFLICT (meter_id, occurred_at, code, nth) DO UPDATE
SET log = CASE e.log WHEN 'status_word' THEN EXCLUDED.log ELSE e.log END,
    sequence = coalesce(e.sequence, EXCLUDED.sequence),
    "values" = EXCLUDED."values" || e."values",
    quality = e.quality & EXCLUDED.quality
WHERE e.log = 'status_word' AND EXCLUDED.log <> 'status_word'
   OR e.sequence IS NULL AND EXCLUDED.sequence IS NOT NULL
   OR EXCLUDED."values" || e."values" <> e."values"
   OR e.quality & EXCLUDED.quality <> e.quality
