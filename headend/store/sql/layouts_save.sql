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
), before AS (
    -- The ledger goes on counting by the old period what it has counted so far; of a new meter it has nothing.
    INSERT INTO period_before (meter_id, until, interval_s)
    SELECT m.id,
           greatest(first_slot('block_load', %(read_at)s, kept.capture_period_s, z.zone), d.counted_until,
                    (SELECT max(p.until) FROM period_before p WHERE p.meter_id = m.id)),
           m.interval_s
    FROM kept JOIN meter m ON m.id = kept.meter_id CROSS JOIN utility z
    CROSS JOIN LATERAL (
        SELECT d.counted_until FROM meter_day d
        WHERE d.meter_id = m.id AND d.profile = 'block_load'
        ORDER BY d.day DESC LIMIT 1
    ) d
    WHERE kept.profile = 'block_load' AND m.interval_s <> kept.capture_period_s
    ON CONFLICT (meter_id, until) DO NOTHING
)
UPDATE meter m SET interval_s = kept.capture_period_s
FROM kept
WHERE m.id = kept.meter_id AND kept.profile = 'block_load' AND m.interval_s <> kept.capture_period_s
