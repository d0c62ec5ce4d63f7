-- The rules about readings that SQL and program share: what counts as the same, where a slot and a gap begin.

CREATE FUNCTION reading_values(reading interval_reading) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The value columns alone: two readings are the same when these are.
    SELECT ARRAY[
        (reading).voltage, (reading).voltage_l1, (reading).voltage_l2, (reading).voltage_l3, (reading).current,
        (reading).current_l1, (reading).current_l2, (reading).current_l3, (reading).neutral_current,
        (reading).wh_import, (reading).wh_export, (reading).vah_import, (reading).vah_export, (reading).varh_q1,
        (reading).varh_q2, (reading).varh_q3, (reading).varh_q4, (reading).w_import, (reading).w_instant,
        (reading).va_instant, (reading).power_factor, (reading).power_factor_l1, (reading).power_factor_l2,
        (reading).power_factor_l3, (reading).frequency, (reading).wh_import_register, (reading).wh_export_register,
        (reading).vah_import_register, (reading).vah_export_register, (reading).meter_health,
        (reading).signal_strength
    ]
$$;

CREATE FUNCTION next_unstored(meter int, slot timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    -- The first slot from `slot` on that no stored interval covers; each row says itself how long it is.
    WITH RECURSIVE run (at) AS (
        SELECT slot
        UNION ALL
        SELECT run.at + make_interval(secs => r.interval_s)
        FROM run JOIN interval_reading r ON r.meter_id = meter AND r.ts = run.at
    )
    SELECT max(at) FROM run
$$;

CREATE FUNCTION slot_from(at timestamptz, interval_s int) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    -- The first slot that starts at `at` or later. Slots are counted from midnight in the utility's zone.
    SELECT date_bin(make_interval(secs => interval_s), at + make_interval(secs => interval_s) - INTERVAL '1 microsecond',
                    TIMESTAMP '2000-01-01' AT TIME ZONE utility_zone())
$$;

CREATE FUNCTION slot_of(at timestamptz, interval_s int) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    -- The slot that `at` lies in.
    SELECT date_bin(make_interval(secs => interval_s), at, TIMESTAMP '2000-01-01' AT TIME ZONE utility_zone())
$$;
