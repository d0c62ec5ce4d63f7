INSERT INTO suspect_row (meter_id, reason, stamp, raw, read_at, source)
SELECT meter_id, reason, stamp, raw, read_at, source
FROM unnest(%(meter_id)s::int[], %(reason)s::text[], %(stamp)s::bytea[], %(raw)s::bytea[], %(read_at)s::timestamptz[],
            %(source)s::smallint[]) AS s (meter_id, reason, stamp, raw, read_at, source)
ON CONFLICT (meter_id, digest, reason) DO NOTHING
