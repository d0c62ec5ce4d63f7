-- Where meters are installed, since when and for whom; what became of each; which of them share a line.

ALTER TABLE meter
    ADD state text NOT NULL DEFAULT 'registered'
        CHECK (state IN ('registered', 'discovered', 'active', 'silent', 'retired')),
    ADD retired_at timestamptz,
    ADD CHECK ((state = 'retired') = (retired_at IS NOT NULL));
UPDATE meter SET state = 'active' WHERE last_contact IS NOT NULL;
COMMENT ON COLUMN meter.state IS
    'registered: listed, never heard; discovered: heard before it was listed; active; silent: not heard for long; retired: it is not read, and owes nothing from retired_at on.';
COMMENT ON COLUMN meter.division IS 'Of its present place, or of the last one; the dated history is in installation.';

CREATE TABLE installation (
    meter_id     int NOT NULL REFERENCES meter,
    installed_at timestamptz NOT NULL,
    removed_at   timestamptz,
    circle       text NOT NULL DEFAULT '',
    division     text NOT NULL DEFAULT '',
    feeder       text NOT NULL DEFAULT '',
    transformer  text NOT NULL DEFAULT '',
    consumer_id  text NOT NULL DEFAULT '',
    last_reading numeric,
    replaced_by  int REFERENCES meter,
    PRIMARY KEY (meter_id, installed_at),
    CHECK (removed_at > installed_at),
    CHECK (removed_at IS NOT NULL OR (last_reading IS NULL AND replaced_by IS NULL))
);
COMMENT ON TABLE installation IS
    'A meter at a place, for a consumer, from installed_at until removed_at; those of one meter do not overlap.';
COMMENT ON COLUMN installation.last_reading IS 'kWh on the register of active energy import when it ended.';
COMMENT ON COLUMN installation.replaced_by IS 'The meter that stands there since.';
CREATE UNIQUE INDEX installation_present ON installation (meter_id) WHERE removed_at IS NULL;
CREATE INDEX installation_transformer ON installation (transformer) WHERE removed_at IS NULL;
CREATE INDEX installation_consumer ON installation (consumer_id) WHERE consumer_id <> '';

INSERT INTO installation (meter_id, installed_at, division)
SELECT id, commissioned_at, division FROM meter WHERE division <> '';

CREATE VIEW meter_place AS
SELECT m.id AS meter_id, m.name AS meter, i.circle, i.division, i.feeder, i.transformer, i.consumer_id, i.installed_at
FROM installation i JOIN meter m ON m.id = i.meter_id
WHERE i.removed_at IS NULL;
COMMENT ON VIEW meter_place IS 'Where each meter is installed now; one that is not installed has no row.';

ALTER TABLE segment
    ADD kind text NOT NULL DEFAULT 'given' CHECK (kind IN ('given', 'line', 'transformer', 'bucket'));
UPDATE segment SET kind = 'bucket' WHERE name ~ '^bucket \d+$';
COMMENT ON COLUMN segment.kind IS
    'given: by the meter list; line: meters at one host and port; transformer; bucket: at most 300 meters of which nothing of that is known.';

CREATE FUNCTION address_line(address text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- Host and port, or serial port, of a meter's address: meters of one line are reached through it together.
    SELECT CASE WHEN address LIKE 'serial:%' THEN place WHEN place ~ ':\d+$' THEN lower(place)
                ELSE lower(place) || ':4059' END
    FROM (SELECT rtrim(regexp_replace(split_part(address, '?', 1), '^[a-z0-9+]+:(//)?', ''), '/')) AS p (place)
$$;

CREATE OR REPLACE VIEW load_profile AS
SELECT
    m.name AS meter,
    m.serial,
    coalesce(i.division, m.division) AS division,
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
    r.signal_strength,
    i.feeder,
    i.transformer,
    i.consumer_id
FROM interval_reading r
JOIN meter m ON m.id = r.meter_id
LEFT JOIN installation i
    ON i.meter_id = r.meter_id AND r.ts >= i.installed_at AND r.ts < coalesce(i.removed_at, 'infinity')
CROSS JOIN utility z;
COMMENT ON VIEW load_profile IS
    'Block load in kWh, kVAh, kvarh, kW, kVA, V, A and Hz. local_day is the day in the utility''s zone: an interval belongs to the day in which it starts. Place and consumer are those of that time.';

CREATE OR REPLACE VIEW meter_status AS
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
              WHERE k.meter_id = m.id AND k.state <> 'retired'), false) AS counter_alarm,
    m.state,
    m.retired_at,
    s.name AS segment,
    i.circle,
    i.feeder,
    i.transformer,
    i.consumer_id,
    m.maker,
    m.model,
    m.firmware
FROM meter m
LEFT JOIN watermark w ON w.meter_id = m.id AND w.profile = 'block_load'
LEFT JOIN segment s ON s.id = m.segment_id
LEFT JOIN installation i ON i.meter_id = m.id AND i.removed_at IS NULL;

CREATE OR REPLACE FUNCTION completeness(first timestamptz, until timestamptz)
RETURNS TABLE (division text, meters bigint, due bigint, stored bigint) LANGUAGE sql STABLE AS $$
    -- Intervals that start at `first` or later and have ended by `until`, by division: how many there are, and how
    -- many of them are stored. A retired meter owes nothing from its retirement on.
    WITH asked AS (
        SELECT m.id, m.division, m.interval_s, greatest(first, m.commissioned_at) AS first,
               least(until, m.retired_at) AS until
        FROM meter m
        WHERE m.retired_at IS NULL OR m.retired_at > first
    ), stored AS (
        SELECT r.meter_id, count(*) AS intervals
        FROM interval_reading r JOIN asked a ON a.id = r.meter_id
        WHERE r.ts >= first AND r.ts < until AND r.ts + make_interval(secs => r.interval_s) <= a.until
        GROUP BY r.meter_id
    ), due AS (
        SELECT a.id, a.division,
               greatest(0, extract(epoch FROM slot_of(a.until, a.interval_s) - slot_from(a.first, a.interval_s))
                           / a.interval_s)::bigint AS intervals
        FROM asked a
    )
    SELECT due.division, count(*), sum(due.intervals)::bigint, coalesce(sum(stored.intervals), 0)::bigint
    FROM due LEFT JOIN stored ON stored.meter_id = due.id
    GROUP BY due.division
    ORDER BY due.division
$$;
