-- What meters give beside intervals: rows of their other profiles, events, their status word, their clock; how far their
-- logs are read; and which pushes were taken in already. No foreign keys to meter where there are many rows.

CREATE TABLE profile_reading (
    meter_id int NOT NULL,
    quality  int NOT NULL,
    ts       timestamptz NOT NULL,
    read_at  timestamptz NOT NULL,
    source   smallint NOT NULL,
    profile  text NOT NULL,
    "values" jsonb NOT NULL,
    units    jsonb NOT NULL,
    PRIMARY KEY (meter_id, profile, ts)
);
COMMENT ON TABLE profile_reading IS
    'Rows of the daily load, billing, instantaneous and nameplate profiles, and of whatever else a meter pushes.';
COMMENT ON COLUMN profile_reading.ts IS 'Start of the day (daily load), end of the billing period, the moment (all others).';
COMMENT ON COLUMN profile_reading."values" IS
    'By captured object, class/OBIS/attribute: numbers in their unit, exact; texts; times as ISO 8601; other octets as hex:….';
COMMENT ON COLUMN profile_reading.units IS 'Blue Book numbers of the units of those values that have one.';

CREATE TABLE profile_revision (LIKE profile_reading);
COMMENT ON TABLE profile_revision IS 'Rows that lost a value to another one of the same meter, profile and time.';
CREATE INDEX profile_revision_row ON profile_revision (meter_id, profile, ts);

CREATE TABLE meter_event (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    stored_by   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    occurred_at timestamptz NOT NULL,
    read_at     timestamptz NOT NULL,
    sequence    bigint,
    meter_id    int NOT NULL,
    code        int NOT NULL,
    quality     int NOT NULL,
    nth         smallint NOT NULL,
    source      smallint NOT NULL,
    log         text NOT NULL,
    maker       text NOT NULL,
    "values"    jsonb NOT NULL,
    PRIMARY KEY (meter_id, occurred_at, code, nth)
);
COMMENT ON TABLE meter_event IS 'What happened at meters, once each, however it came.';
COMMENT ON COLUMN meter_event.stored_by IS
    'The transaction that stored it. Those below pg_snapshot_xmin(pg_current_snapshot()) are all to be seen; followed in the order (stored_by, id) up to there, no event is missed.';
COMMENT ON COLUMN meter_event.nth IS 'Which one of those with the same code at the same second, from 0.';
COMMENT ON COLUMN meter_event.log IS
    'The group of the log in which it stands; status_word: told from a bit that changed, and occurred_at is when that was seen.';
COMMENT ON COLUMN meter_event.maker IS 'Whose list the code is of (event_code.maker).';
CREATE INDEX meter_event_stored ON meter_event (stored_by, id);
CREATE INDEX meter_event_occurred ON meter_event USING brin (occurred_at) WITH (pages_per_range = 32);

CREATE TABLE clock_check (
    meter_id       int NOT NULL,
    drift_ms       bigint,
    uncertainty_ms bigint NOT NULL,
    at             timestamptz NOT NULL,
    set_to         timestamptz,
    suspect        boolean NOT NULL,
    PRIMARY KEY (meter_id, at)
);
COMMENT ON TABLE clock_check IS 'How far meters'' clocks were off: their time minus ours.';
COMMENT ON COLUMN clock_check.drift_ms IS 'NULL: it showed no time.';
COMMENT ON COLUMN clock_check.suspect IS 'It said itself that it may be wrong.';
COMMENT ON COLUMN clock_check.set_to IS 'The time to which it was set afterwards; NULL: it was left alone.';

DO $$
BEGIN
    -- On TimescaleDB interval_reading is no partitioned table, but a hypertable; these are then, too.
    IF (SELECT relkind FROM pg_class WHERE oid = 'interval_reading'::regclass) = 'r' THEN
        PERFORM create_hypertable('profile_reading', 'ts', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
        PERFORM create_hypertable('meter_event', 'occurred_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
        PERFORM create_hypertable('clock_check', 'at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
    END IF;
END $$;

CREATE TABLE meter_status_word (
    meter_id int PRIMARY KEY REFERENCES meter,
    at       timestamptz NOT NULL,
    read_at  timestamptz NOT NULL,
    bits     smallint[] NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE meter_status_word IS 'The latest event status word of each meter (by at, then by read_at): its set bits, from 0. What changes in it is an event.';

CREATE TABLE event_mark (
    meter_id    int NOT NULL REFERENCES meter,
    log         text NOT NULL,
    sequence    bigint,
    occurred_at timestamptz,
    read_at     timestamptz NOT NULL,
    PRIMARY KEY (meter_id, log)
) WITH (fillfactor = 70);
COMMENT ON TABLE event_mark IS 'How far each log of a meter is read: its newest entry at read_at. The next read goes on there.';

CREATE TABLE push_window (
    meter_key_id int NOT NULL REFERENCES meter_key,
    system_title bytea NOT NULL CHECK (octet_length(system_title) = 8),
    highest      bigint NOT NULL,
    bitmap       bigint NOT NULL,
    PRIMARY KEY (meter_key_id, system_title)
) WITH (fillfactor = 50);
COMMENT ON TABLE push_window IS 'Which invocation counters of pushes were taken in: the highest, and of the 64 up to it those whose bit is set (bit n: highest - n).';

CREATE TABLE event_code (
    maker    text NOT NULL,
    code     int NOT NULL,
    log      text NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('occurrence', 'restoration', 'single')),
    partner  int,
    severity text NOT NULL CHECK (severity IN ('critical', 'warning', 'information')),
    english  text NOT NULL,
    hindi    text NOT NULL,
    PRIMARY KEY (maker, code)
);
COMMENT ON TABLE event_code IS
    'What event codes say, as this program last had them; maker is empty for what is agreed. Codes from 65536 on are bits of the event status word that stand for no event: 65536 + bit when set, 65792 + bit when cleared.';

-- Every contact writes last_contact into a row of meter: room beside it spares its many indexes.
ALTER TABLE meter SET (fillfactor = 50);

-- Views in human units. A value that is not of the kind and unit that its column promises stays in the column others.

CREATE FUNCTION fits(value jsonb, unit jsonb, kind jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- kind: the number of a unit (255: none), "time" or "text".
    SELECT CASE kind
        WHEN '"text"' THEN jsonb_typeof(value) = 'string'
        WHEN '"time"' THEN value #>> '{}' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$'
        ELSE jsonb_typeof(value) = 'number' AND coalesce(unit, kind) = kind
    END
$$;

CREATE FUNCTION number_of(r profile_reading, object text, unit jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- NULL where there is no number, or one of another unit.
    SELECT CASE WHEN fits(r."values" -> object, r.units -> object, unit) THEN (r."values" -> object)::numeric END
$$;

CREATE FUNCTION time_of(r profile_reading, object text) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN fits(r."values" -> object, NULL, '"time"') THEN (r."values" ->> object)::timestamptz END
$$;

CREATE FUNCTION text_of(r profile_reading, object text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN fits(r."values" -> object, NULL, '"text"') THEN r."values" ->> object END
$$;

CREATE FUNCTION others_of(r profile_reading, shown jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The values that no column shows. shown: the kind of each object that has a column.
    SELECT coalesce(jsonb_object_agg(v.key, v.value), '{}')
    FROM jsonb_each(r."values") v
    WHERE fits(v.value, r.units -> v.key, shown -> v.key) IS NOT TRUE
$$;

CREATE VIEW daily_reading AS
SELECT
    m.name AS meter,
    m.serial,
    m.division,
    r.ts AS starts_at,
    (r.ts AT TIME ZONE z.zone)::date AS local_day,
    r.read_at,
    r.quality,
    number_of(r, '3/1.0.1.8.0.255/2', '30') * 0.001 AS kwh_import,
    number_of(r, '3/1.0.2.8.0.255/2', '30') * 0.001 AS kwh_export,
    number_of(r, '3/1.0.9.8.0.255/2', '31') * 0.001 AS kvah_import,
    number_of(r, '3/1.0.10.8.0.255/2', '31') * 0.001 AS kvah_export,
    number_of(r, '3/1.0.5.8.0.255/2', '32') * 0.001 AS kvarh_q1,
    number_of(r, '3/1.0.6.8.0.255/2', '32') * 0.001 AS kvarh_q2,
    number_of(r, '3/1.0.7.8.0.255/2', '32') * 0.001 AS kvarh_q3,
    number_of(r, '3/1.0.8.8.0.255/2', '32') * 0.001 AS kvarh_q4,
    others_of(r, '{"3/1.0.1.8.0.255/2": 30, "3/1.0.2.8.0.255/2": 30, "3/1.0.9.8.0.255/2": 31, "3/1.0.10.8.0.255/2": 31,
                   "3/1.0.5.8.0.255/2": 32, "3/1.0.6.8.0.255/2": 32, "3/1.0.7.8.0.255/2": 32, "3/1.0.8.8.0.255/2": 32}') AS others
FROM profile_reading r
JOIN meter m ON m.id = r.meter_id
CROSS JOIN utility z
WHERE r.profile = 'daily_load';
COMMENT ON VIEW daily_reading IS
    'Registers at the end of local_day, in kWh, kVAh and kvarh. others: by object, in the units that the meter has.';

CREATE VIEW billing_reading AS
SELECT
    m.name AS meter,
    m.serial,
    m.division,
    r.ts AS billed_at,
    r.ts AT TIME ZONE z.zone AS local_time,
    r.read_at,
    r.quality,
    number_of(r, '3/1.0.1.8.0.255/2', '30') * 0.001 AS kwh_import,
    number_of(r, '3/1.0.1.8.1.255/2', '30') * 0.001 AS kwh_import_rate1,
    number_of(r, '3/1.0.1.8.2.255/2', '30') * 0.001 AS kwh_import_rate2,
    number_of(r, '3/1.0.1.8.3.255/2', '30') * 0.001 AS kwh_import_rate3,
    number_of(r, '3/1.0.1.8.4.255/2', '30') * 0.001 AS kwh_import_rate4,
    number_of(r, '3/1.0.1.8.5.255/2', '30') * 0.001 AS kwh_import_rate5,
    number_of(r, '3/1.0.1.8.6.255/2', '30') * 0.001 AS kwh_import_rate6,
    number_of(r, '3/1.0.1.8.7.255/2', '30') * 0.001 AS kwh_import_rate7,
    number_of(r, '3/1.0.1.8.8.255/2', '30') * 0.001 AS kwh_import_rate8,
    number_of(r, '3/1.0.2.8.0.255/2', '30') * 0.001 AS kwh_export,
    number_of(r, '3/1.0.9.8.0.255/2', '31') * 0.001 AS kvah_import,
    number_of(r, '3/1.0.10.8.0.255/2', '31') * 0.001 AS kvah_export,
    number_of(r, '4/1.0.1.6.0.255/2', '27') * 0.001 AS max_kw,
    time_of(r, '4/1.0.1.6.0.255/5') AS max_kw_at,
    number_of(r, '4/1.0.9.6.0.255/2', '28') * 0.001 AS max_kva,
    time_of(r, '4/1.0.9.6.0.255/5') AS max_kva_at,
    number_of(r, '3/1.0.13.0.0.255/2', '255') AS power_factor,
    number_of(r, '3/0.0.94.91.13.255/2', '6') AS power_on_minutes,
    others_of(r, '{"3/1.0.1.8.0.255/2": 30, "3/1.0.1.8.1.255/2": 30, "3/1.0.1.8.2.255/2": 30, "3/1.0.1.8.3.255/2": 30,
                   "3/1.0.1.8.4.255/2": 30, "3/1.0.1.8.5.255/2": 30, "3/1.0.1.8.6.255/2": 30, "3/1.0.1.8.7.255/2": 30,
                   "3/1.0.1.8.8.255/2": 30, "3/1.0.2.8.0.255/2": 30, "3/1.0.9.8.0.255/2": 31, "3/1.0.10.8.0.255/2": 31,
                   "4/1.0.1.6.0.255/2": 27, "4/1.0.1.6.0.255/5": "time", "4/1.0.9.6.0.255/2": 28,
                   "4/1.0.9.6.0.255/5": "time", "3/1.0.13.0.0.255/2": 255, "3/0.0.94.91.13.255/2": 6}') AS others
FROM profile_reading r
JOIN meter m ON m.id = r.meter_id
CROSS JOIN utility z
WHERE r.profile = 'billing';
COMMENT ON VIEW billing_reading IS
    'Registers as they stood when a billing period ended, and its maximum demands, in kWh, kVAh, kW and kVA.';

CREATE VIEW instant_reading AS
SELECT
    m.name AS meter,
    m.serial,
    m.division,
    r.ts AS at,
    r.ts AT TIME ZONE z.zone AS local_time,
    r.read_at,
    r.quality,
    number_of(r, '3/1.0.12.7.0.255/2', '35') AS voltage,
    number_of(r, '3/1.0.32.7.0.255/2', '35') AS voltage_l1,
    number_of(r, '3/1.0.52.7.0.255/2', '35') AS voltage_l2,
    number_of(r, '3/1.0.72.7.0.255/2', '35') AS voltage_l3,
    number_of(r, '3/1.0.11.7.0.255/2', '33') AS current,
    number_of(r, '3/1.0.31.7.0.255/2', '33') AS current_l1,
    number_of(r, '3/1.0.51.7.0.255/2', '33') AS current_l2,
    number_of(r, '3/1.0.71.7.0.255/2', '33') AS current_l3,
    number_of(r, '3/1.0.91.7.0.255/2', '33') AS neutral_current,
    number_of(r, '3/1.0.1.7.0.255/2', '27') * 0.001 AS kw,
    number_of(r, '3/1.0.9.7.0.255/2', '28') * 0.001 AS kva,
    number_of(r, '3/1.0.3.7.0.255/2', '29') * 0.001 AS kvar,
    number_of(r, '3/1.0.13.7.0.255/2', '255') AS power_factor,
    number_of(r, '3/1.0.33.7.0.255/2', '255') AS power_factor_l1,
    number_of(r, '3/1.0.53.7.0.255/2', '255') AS power_factor_l2,
    number_of(r, '3/1.0.73.7.0.255/2', '255') AS power_factor_l3,
    number_of(r, '3/1.0.14.7.0.255/2', '44') AS frequency,
    number_of(r, '3/1.0.1.8.0.255/2', '30') * 0.001 AS kwh_import,
    number_of(r, '3/1.0.2.8.0.255/2', '30') * 0.001 AS kwh_export,
    number_of(r, '3/1.0.9.8.0.255/2', '31') * 0.001 AS kvah_import,
    number_of(r, '3/1.0.10.8.0.255/2', '31') * 0.001 AS kvah_export,
    number_of(r, '4/1.0.1.6.0.255/2', '27') * 0.001 AS max_kw,
    time_of(r, '4/1.0.1.6.0.255/5') AS max_kw_at,
    number_of(r, '4/1.0.9.6.0.255/2', '28') * 0.001 AS max_kva,
    time_of(r, '4/1.0.9.6.0.255/5') AS max_kva_at,
    others_of(r, '{"3/1.0.12.7.0.255/2": 35, "3/1.0.32.7.0.255/2": 35, "3/1.0.52.7.0.255/2": 35, "3/1.0.72.7.0.255/2": 35,
                   "3/1.0.11.7.0.255/2": 33, "3/1.0.31.7.0.255/2": 33, "3/1.0.51.7.0.255/2": 33, "3/1.0.71.7.0.255/2": 33,
                   "3/1.0.91.7.0.255/2": 33, "3/1.0.1.7.0.255/2": 27, "3/1.0.9.7.0.255/2": 28, "3/1.0.3.7.0.255/2": 29,
                   "3/1.0.13.7.0.255/2": 255, "3/1.0.33.7.0.255/2": 255, "3/1.0.53.7.0.255/2": 255,
                   "3/1.0.73.7.0.255/2": 255, "3/1.0.14.7.0.255/2": 44, "3/1.0.1.8.0.255/2": 30,
                   "3/1.0.2.8.0.255/2": 30, "3/1.0.9.8.0.255/2": 31, "3/1.0.10.8.0.255/2": 31, "4/1.0.1.6.0.255/2": 27,
                   "4/1.0.1.6.0.255/5": "time", "4/1.0.9.6.0.255/2": 28, "4/1.0.9.6.0.255/5": "time"}') AS others
FROM profile_reading r
JOIN meter m ON m.id = r.meter_id
CROSS JOIN utility z
WHERE r.profile = 'instantaneous';
COMMENT ON VIEW instant_reading IS 'What meters measured at a moment, in V, A, kW, kVA, kvar, Hz, and their registers in kWh and kVAh.';

CREATE VIEW nameplate AS
SELECT DISTINCT ON (m.id)
    m.name AS meter,
    m.serial,
    m.division,
    r.read_at,
    text_of(r, '1/0.0.96.1.0.255/2') AS own_serial,
    text_of(r, '1/0.0.96.1.2.255/2') AS device_id,
    text_of(r, '1/0.0.96.1.1.255/2') AS maker,
    text_of(r, '1/1.0.0.2.0.255/2') AS firmware,
    text_of(r, '1/0.0.94.91.11.255/2') AS category,
    text_of(r, '1/0.0.94.91.12.255/2') AS current_rating,
    number_of(r, '1/0.0.94.91.9.255/2', '255') AS kind,
    number_of(r, '1/0.0.96.1.4.255/2', '255') AS made_in,
    others_of(r, '{"1/0.0.96.1.0.255/2": "text", "1/0.0.96.1.2.255/2": "text", "1/0.0.96.1.1.255/2": "text",
                   "1/1.0.0.2.0.255/2": "text", "1/0.0.94.91.11.255/2": "text", "1/0.0.94.91.12.255/2": "text",
                   "1/0.0.94.91.9.255/2": 255, "1/0.0.96.1.4.255/2": 255}') AS others
FROM meter m JOIN profile_reading r ON r.meter_id = m.id AND r.profile = 'nameplate'
ORDER BY m.id, r.ts DESC;
COMMENT ON VIEW nameplate IS 'What each meter last said of itself. made_in: the year.';

CREATE VIEW event AS
SELECT
    m.name AS meter,
    m.serial,
    m.division,
    e.occurred_at,
    e.occurred_at AT TIME ZONE z.zone AS local_time,
    e.code,
    coalesce(c.english, 'Unknown event ' || e.code) AS event,
    coalesce(c.hindi, 'अज्ञात घटना ' || e.code) AS event_hindi,
    coalesce(c.severity, 'warning') AS severity,
    coalesce(c.kind, 'unknown') AS kind,
    c.partner,
    e.log,
    e.sequence,
    e."values",
    e.quality,
    e.source,
    e.read_at,
    e.id
FROM meter_event e
JOIN meter m ON m.id = e.meter_id
CROSS JOIN utility z
LEFT JOIN event_code c ON c.maker = e.maker AND c.code = e.code;
COMMENT ON VIEW event IS
    'What happened at meters. kind: occurrence, restoration (of partner), single or unknown. log: status_word is told from a status bit, seen changed at occurred_at.';
