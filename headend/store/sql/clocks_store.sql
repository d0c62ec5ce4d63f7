INSERT INTO clock_check (meter_id, at, drift_ms, uncertainty_ms, suspect, set_to)
SELECT meter_id, at, drift_ms, uncertainty_ms, suspect, set_to
FROM unnest(%(meter_id)b::int[], %(at)b::timestamptz[], %(drift_ms)b::int[], %(uncertainty_ms)b::int[],
            %(suspect)b::boolean[], %(set_to)b::timestamptz[])
    AS s (meter_id, at, drift_ms, uncertainty_ms, suspect, set_to)
ON CONFLICT (meter_id, at) DO UPDATE SET set_to = EXCLUDED.set_to WHERE EXCLUDED.set_to IS NOT NULL
