-- Ratios of the instrument transformers before meters, dated: they change with the transformers.

CREATE TABLE meter_ratio (
    meter_id  int NOT NULL REFERENCES meter,
    since     timestamptz NOT NULL,
    ct        numeric NOT NULL CHECK (ct > 0),
    pt        numeric CHECK (pt > 0),
    secondary boolean NOT NULL,
    PRIMARY KEY (meter_id, since)
);
COMMENT ON TABLE meter_ratio IS
    'Primary to secondary current (ct) and voltage (pt), from the moment since at which the meter was first seen to say so; the first of a meter holds for the time before, too.';
COMMENT ON COLUMN meter_ratio.pt IS 'NULL: the meter does not say; there are no voltage transformers, as far as is known.';
COMMENT ON COLUMN meter_ratio.secondary IS
    'Whether the meter counts what is on the secondary side, as its type says; one answer for all rows of a meter.';

CREATE VIEW load_profile_primary AS
SELECT
    l.meter,
    l.serial,
    l.division,
    l.starts_at,
    l.local_start,
    l.local_day,
    l.interval_s,
    l.quality,
    q.ct,
    q.pt,
    q.secondary,
    l.voltage_l1,
    l.voltage_l1 * q.volts AS voltage_l1_primary,
    l.voltage_l2,
    l.voltage_l2 * q.volts AS voltage_l2_primary,
    l.voltage_l3,
    l.voltage_l3 * q.volts AS voltage_l3_primary,
    l.current_l1,
    l.current_l1 * q.amperes AS current_l1_primary,
    l.current_l2,
    l.current_l2 * q.amperes AS current_l2_primary,
    l.current_l3,
    l.current_l3 * q.amperes AS current_l3_primary,
    l.kwh_import,
    l.kwh_import * q.amperes * q.volts AS kwh_import_primary,
    l.kwh_export,
    l.kwh_export * q.amperes * q.volts AS kwh_export_primary,
    l.kvah_import,
    l.kvah_import * q.amperes * q.volts AS kvah_import_primary,
    l.kvah_export,
    l.kvah_export * q.amperes * q.volts AS kvah_export_primary,
    l.kvarh_q1,
    l.kvarh_q1 * q.amperes * q.volts AS kvarh_q1_primary,
    l.kvarh_q2,
    l.kvarh_q2 * q.amperes * q.volts AS kvarh_q2_primary,
    l.kvarh_q3,
    l.kvarh_q3 * q.amperes * q.volts AS kvarh_q3_primary,
    l.kvarh_q4,
    l.kvarh_q4 * q.amperes * q.volts AS kvarh_q4_primary,
    l.kw_import,
    l.kw_import * q.amperes * q.volts AS kw_import_primary
FROM load_profile l
JOIN meter m ON m.name = l.meter
JOIN (
    SELECT
        meter_id,
        ct,
        pt,
        secondary,
        CASE WHEN secondary THEN ct ELSE 1 END AS amperes,
        CASE WHEN secondary THEN coalesce(pt, 1) ELSE 1 END AS volts,
        CASE WHEN lag(since) OVER dated IS NULL THEN '-infinity' ELSE since END AS since,
        coalesce(lead(since) OVER dated, 'infinity') AS until
    FROM meter_ratio
    WINDOW dated AS (PARTITION BY meter_id ORDER BY since)
) q ON q.meter_id = m.id AND l.starts_at >= q.since AND l.starts_at < q.until;
COMMENT ON VIEW load_profile_primary IS
    'Block load of meters behind instrument transformers: as metered, and on the primary side, by the ratios of that time. What a meter counts on the primary side already is not multiplied again.';
