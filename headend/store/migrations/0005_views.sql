-- What readers of this database are promised; the tables behind may change.

CREATE VIEW load_profile AS
SELECT
    m.name AS meter,
    m.serial,
    m.division,
    r.ts AS starts_at,
    r.ts AT TIME ZONE z.zone AS local_start,
    (r.ts AT TIME ZONE z.zone)::date AS local_day,
    r.interval_s,
    r.read_at,
    r.quality,
    r.voltage * 0.001 AS voltage,
    r.voltage_l1 * 0.001 AS voltage_l1,
    r.voltage_l2 * 0.001 AS voltage_l2,
    r.voltage_l3 * 0.001 AS voltage_l3,
    r.current * 0.001 AS current,
    r.current_l1 * 0.001 AS current_l1,
    r.current_l2 * 0.001 AS current_l2,
    r.current_l3 * 0.001 AS current_l3,
    r.neutral_current * 0.001 AS neutral_current,
    r.wh_import * 0.000001 AS kwh_import,
    r.wh_export * 0.000001 AS kwh_export,
    r.vah_import * 0.000001 AS kvah_import,
    r.vah_export * 0.000001 AS kvah_export,
    r.varh_q1 * 0.000001 AS kvarh_q1,
    r.varh_q2 * 0.000001 AS kvarh_q2,
    r.varh_q3 * 0.000001 AS kvarh_q3,
    r.varh_q4 * 0.000001 AS kvarh_q4,
    r.w_import * 0.000001 AS kw_import,
    r.w_instant * 0.000001 AS kw_instant,
    r.va_instant * 0.000001 AS kva_instant,
    r.power_factor * 0.001 AS power_factor,
    r.power_factor_l1 * 0.001 AS power_factor_l1,
    r.power_factor_l2 * 0.001 AS power_factor_l2,
    r.power_factor_l3 * 0.001 AS power_factor_l3,
    r.frequency * 0.001 AS frequency,
    r.wh_import_register * 0.000001 AS kwh_import_register,
    r.wh_export_register * 0.000001 AS kwh_export_register,
    r.vah_import_register * 0.000001 AS kvah_import_register,
    r.vah_export_register * 0.000001 AS kvah_export_register,
    r.meter_health,
    r.signal_strength
FROM interval_reading r
JOIN meter m ON m.id = r.meter_id
CROSS JOIN utility z;
COMMENT ON VIEW load_profile IS
    'Block load in kWh, kVAh, kvarh, kW, kVA, V, A and Hz. local_day is the day in the utility''s zone: an interval belongs to the day in which it starts.';

CREATE VIEW meter_status AS
SELECT
    m.name AS meter,
    m.serial,
    m.division,
    m.meter_type,
    m.address,
    m.commissioned_at,
    w.settled AS complete_until,
    m.last_contact,
    m.last_error,
    m.last_error_at,
    m.parked_at,
    m.parked_reason,
    coalesce((SELECT bool_or(c.alarm) FROM meter_key k JOIN invocation_counter c ON c.meter_key_id = k.id
              WHERE k.meter_id = m.id AND k.state <> 'retired'), false) AS counter_alarm
FROM meter m
LEFT JOIN watermark w ON w.meter_id = m.id AND w.profile = 'block_load';
COMMENT ON VIEW meter_status IS
    'One row a meter. complete_until: every interval before is stored, or no longer held by the meter.';

CREATE FUNCTION completeness(first timestamptz, until timestamptz)
RETURNS TABLE (division text, meters bigint, due bigint, stored bigint) LANGUAGE sql STABLE AS $$
    -- Intervals that start at `first` or later and have ended by `until`, by division: how many there are, and how
    -- many of them are stored.
    WITH stored AS (
        SELECT r.meter_id, count(*) AS intervals
        FROM interval_reading r
        WHERE r.ts >= first AND r.ts < until AND r.ts + make_interval(secs => r.interval_s) <= until
        GROUP BY r.meter_id
    ), due AS (
        SELECT m.id, m.division,
               greatest(0, extract(epoch FROM slot_of(until, m.interval_s)
                                              - slot_from(greatest(first, m.commissioned_at), m.interval_s))
                           / m.interval_s)::bigint AS intervals
        FROM meter m
    )
    SELECT due.division, count(*), sum(due.intervals)::bigint, coalesce(sum(stored.intervals), 0)::bigint
    FROM due LEFT JOIN stored ON stored.meter_id = due.id
    GROUP BY due.division
    ORDER BY due.division
$$;
