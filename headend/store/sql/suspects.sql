INSERT INTO suspect_row (meter_id, reason, stamp, raw, read_at, source)
SELECT meter_id, reason, stamp, raw, read_at, source
FROM unnest(%(meter_id)b::int[], %(reason)b::text[], %(stamp)b::bytea[], %(raw)b::bytea[], %(read_at)b::timestamptz[],
            %(source)b::smallint[]) AS s (meter_id, reason, stamp, raw, read_at, source)
ON CONFLICT (meter_id, digest, reason) DO NOTHING
