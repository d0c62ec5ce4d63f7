WITH said AS (
    SELECT meter_id, capture_objects, scalers, capture_period_s
    FROM unnest(%(meter_id)b::int[], %(capture_objects)b::jsonb[], %(scalers)b::jsonb[], %(capture_period_s)b::int[])
        AS s (meter_id, capture_objects, scalers, capture_period_s)
    ORDER BY meter_id
), period AS (
    UPDATE meter m SET interval_s = said.capture_period_s
    FROM said
    WHERE m.id = said.meter_id AND %(profile)s = 'block_load' AND m.interval_s <> said.capture_period_s
)
INSERT INTO meter_profile AS p (meter_id, profile, capture_objects, scalers, capture_period_s, read_at)
SELECT meter_id, %(profile)s, capture_objects, scalers, capture_period_s, %(read_at)s FROM said
ON CONFLICT (meter_id, profile) DO UPDATE
SET capture_objects = EXCLUDED.capture_objects, scalers = EXCLUDED.scalers,
    capture_period_s = EXCLUDED.capture_period_s, read_at = EXCLUDED.read_at
WHERE p.read_at <= EXCLUDED.read_at
