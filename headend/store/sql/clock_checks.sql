INSERT INTO clock_check (meter_id, at, drift_ms, uncertainty_ms, suspect, set_to)
SELECT meter_id, at, drift_ms, uncertainty_ms, suspect, set_to
FROM unnest(%(meters)b::int[], %(at)b::timestamptz[], %(drift_ms)b::bigint[], %(uncertainty_ms)b::bigint[],
            %(suspect)b::boolean[], %(set_to)b::timestamptz[]) AS c (meter_id, at, drift_ms, uncertainty_ms, suspect, set_to)
ORDER BY meter_id, at
ON CONFLICT (meter_id, at) DO NOTHING
