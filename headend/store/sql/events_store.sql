INSERT INTO meter_event (meter_id, log, code, occurred_at, nth, sequence, "values", quality, read_at, source)
SELECT DISTINCT ON (meter_id, occurred_at, code, nth)
    meter_id, log, code, occurred_at, nth, sequence, "values", quality, read_at, source
FROM unnest(%(meter_id)b::int[], %(log)b::text[], %(code)b::int[], %(occurred_at)b::timestamptz[], %(nth)b::smallint[],
            %(sequence)b::bigint[], %(values)b::jsonb[], %(quality)b::int[], %(read_at)b::timestamptz[],
            %(source)b::smallint[])
    AS s (meter_id, log, code, occurred_at, nth, sequence, "values", quality, read_at, source)
ORDER BY meter_id, occurred_at, code, nth, sequence NULLS LAST
ON CONFLICT (meter_id, occurred_at, code, nth) DO UPDATE
-- A log's own entry says more than a push of the same event: its number and its snapshot.
SET sequence = coalesce(meter_event.sequence, EXCLUDED.sequence), "values" = meter_event."values" || EXCLUDED."values"
WHERE meter_event.sequence IS NULL AND EXCLUDED.sequence IS NOT NULL
   OR NOT meter_event."values" @> EXCLUDED."values" AND meter_event."values" = '{}'
RETURNING xmax = 0
