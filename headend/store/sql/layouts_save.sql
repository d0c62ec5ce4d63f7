WITH kept AS (
    INSERT INTO meter_profile AS p (meter_id, profile, capture_objects, scalers, capture_period_s, read_at)
    SELECT meter_id, %(profile)s, capture_objects, scalers, capture_period_s, %(read_at)s
    FROM unnest(%(meter_id)b::int[], %(capture_objects)b::jsonb[], %(scalers)b::jsonb[], %(capture_period_s)b::int[])
        AS s (meter_id, capture_objects, scalers, capture_period_s)
    ORDER BY meter_id
    ON CONFLICT (meter_id, profile) DO UPDATE
    SET capture_objects = EXCLUDED.capture_objects, scalers = EXCLUDED.scalers,
        capture_period_s = EXCLUDED.capture_period_s, read_at = EXCLUDED.read_at
    WHERE p.read_at <= EXCLUDED.read_at
    RETURNING meter_id, profile, capture_period_s
)
UPDATE meter m SET interval_s = kept.capture_period_s
FROM kept
WHERE m.id = kept.meter_id AND kept.profile = 'block_load' AND m.interval_s <> kept.capture_period_s
