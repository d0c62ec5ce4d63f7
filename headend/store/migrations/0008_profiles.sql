-- What meters say beside their block load: daily load, billing, instantaneous values, nameplates, events, status, clock.
-- Values stand by captured object, `class/OBIS/attribute`: numbers in their unit (`units`, by the Blue Book's number),
-- scaled and exact; times as ISO 8601 in UTC; what is neither as text, or as octets after `hex:`.

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
COMMENT ON COLUMN profile_reading.ts IS 'Start of the day (daily load), end of the billing period, or the moment.';
CREATE INDEX profile_reading_ts ON profile_reading USING brin (ts) WITH (pages_per_range = 32);

CREATE TABLE profile_revision (LIKE profile_reading);
COMMENT ON TABLE profile_revision IS 'Rows of profiles that lost to a later reading of the same row.';
CREATE INDEX profile_revision_row ON profile_revision (meter_id, profile, ts);

CREATE TABLE meter_event (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    occurred_at timestamptz NOT NULL,
    read_at     timestamptz NOT NULL,
    sequence    bigint,
    meter_id    int NOT NULL,
    code        int NOT NULL,
    quality     int NOT NULL,
    nth         smallint NOT NULL,
    source      smallint NOT NULL,
    log         text NOT NULL,
    "values"    jsonb NOT NULL,
    PRIMARY KEY (meter_id, occurred_at, code, nth)
);
COMMENT ON TABLE meter_event IS 'Each event of a meter once, however often and by whatever way it was told.';
COMMENT ON COLUMN meter_event.log IS 'The group of its log; status_word: told from a changed bit, occurred_at is when that was seen.';
COMMENT ON COLUMN meter_event.nth IS 'Which one of those with the same code at the same second, from 0.';
CREATE INDEX meter_event_id ON meter_event (id);

CREATE TABLE event_mark (
    meter_id    int NOT NULL REFERENCES meter,
    log         text NOT NULL,
    sequence    bigint,
    occurred_at timestamptz,
    PRIMARY KEY (meter_id, log)
);
COMMENT ON TABLE event_mark IS 'How far each log of a meter was read.';

CREATE TABLE meter_status_word (
    meter_id int PRIMARY KEY REFERENCES meter,
    at       timestamptz NOT NULL,
    bits     int[] NOT NULL
);
COMMENT ON TABLE meter_status_word IS 'The latest event status word of each meter: the numbers of the bits that are set.';

CREATE TABLE clock_check (
    meter_id       int NOT NULL REFERENCES meter,
    at             timestamptz NOT NULL,
    drift_ms       int,
    uncertainty_ms int NOT NULL,
    suspect        boolean NOT NULL,
    set_to         timestamptz,
    PRIMARY KEY (meter_id, at)
);
COMMENT ON COLUMN clock_check.drift_ms IS 'The meter''s time minus ours; NULL: its clock shows no time.';

CREATE TABLE push_window (
    meter_key_id int NOT NULL REFERENCES meter_key,
    system_title bytea NOT NULL CHECK (octet_length(system_title) = 8),
    highest      bigint NOT NULL,
    bitmap       bigint NOT NULL,
    PRIMARY KEY (meter_key_id, system_title)
) WITH (fillfactor = 50);
COMMENT ON TABLE push_window IS 'Counters of pushes that were accepted: the highest, and bit n for the one n below it.';

CREATE TABLE event_code (
    maker       text NOT NULL,
    code        int NOT NULL,
    log         text NOT NULL,
    kind        text NOT NULL,
    partner     int,
    severity    text NOT NULL,
    english     text NOT NULL,
    hindi       text NOT NULL,
    PRIMARY KEY (maker, code)
);
COMMENT ON TABLE event_code IS 'What event codes say; maker empty: as is agreed. Filled anew by each migration.';

DO $$
BEGIN
    -- As interval_reading is: a hypertable, or plain.
    IF (SELECT relkind FROM pg_class WHERE oid = 'interval_reading'::regclass) <> 'p' THEN
        PERFORM create_hypertable('profile_reading', 'ts', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
        PERFORM create_hypertable('meter_event', 'occurred_at', chunk_time_interval => INTERVAL '30 days', create_default_indexes => false);
    END IF;
END $$;

CREATE FUNCTION value_of("values" jsonb, obis text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The number of a register, extended register or plain data; NULL where there is none.
    SELECT n::text::numeric
    FROM unnest(ARRAY["values" -> ('3/' || obis || '/2'), "values" -> ('4/' || obis || '/2'), "values" -> ('1/' || obis || '/2')]) AS n
    WHERE jsonb_typeof(n) = 'number'
    LIMIT 1
$$;

CREATE VIEW daily_reading AS
SELECT m.name AS meter, m.serial, r.ts AS starts_at, (r.ts AT TIME ZONE z.zone)::date AS local_day, r.read_at, r.quality,
       value_of(r."values", '1.0.1.8.0.255') / 1000 AS kwh_import_register,
       value_of(r."values", '1.0.2.8.0.255') / 1000 AS kwh_export_register,
       value_of(r."values", '1.0.9.8.0.255') / 1000 AS kvah_import_register,
       value_of(r."values", '1.0.10.8.0.255') / 1000 AS kvah_export_register,
       r."values", r.units
FROM profile_reading r JOIN meter m ON m.id = r.meter_id CROSS JOIN utility z
WHERE r.profile = 'daily_load';
COMMENT ON VIEW daily_reading IS 'Registers as they stood at the end of each day; all that the meter gave in "values".';

CREATE VIEW billing_reading AS
SELECT m.name AS meter, m.serial, r.ts AS billed_at, r.ts AT TIME ZONE z.zone AS local_time, r.read_at, r.quality,
       value_of(r."values", '1.0.1.8.0.255') / 1000 AS kwh_import_register,
       value_of(r."values", '1.0.9.8.0.255') / 1000 AS kvah_import_register,
       value_of(r."values", '1.0.1.6.0.255') / 1000 AS kw_maximum_demand,
       value_of(r."values", '1.0.9.6.0.255') / 1000 AS kva_maximum_demand,
       value_of(r."values", '1.0.13.0.0.255') AS power_factor,
       r."values", r.units
FROM profile_reading r JOIN meter m ON m.id = r.meter_id CROSS JOIN utility z
WHERE r.profile = 'billing';

CREATE VIEW instant_reading AS
SELECT m.name AS meter, m.serial, r.ts AS at, r.ts AT TIME ZONE z.zone AS local_time, r.read_at, r.quality,
       value_of(r."values", '1.0.12.7.0.255') AS voltage,
       value_of(r."values", '1.0.11.7.0.255') AS current,
       value_of(r."values", '1.0.1.7.0.255') / 1000 AS kw_import,
       value_of(r."values", '1.0.9.7.0.255') / 1000 AS kva_import,
       value_of(r."values", '1.0.13.7.0.255') AS power_factor,
       value_of(r."values", '1.0.14.7.0.255') AS frequency,
       r."values", r.units
FROM profile_reading r JOIN meter m ON m.id = r.meter_id CROSS JOIN utility z
WHERE r.profile IN ('instantaneous', 'instant');

CREATE VIEW event AS
SELECT e.id, m.name AS meter, m.serial, e.occurred_at, e.occurred_at AT TIME ZONE z.zone AS local_time, e.log, e.code,
       coalesce(c.english, 'Unknown event ' || e.code) AS english, coalesce(c.hindi, 'अज्ञात घटना ' || e.code) AS hindi,
       coalesce(c.kind, 'unknown') AS kind, c.partner, coalesce(c.severity, 'information') AS severity, e.sequence,
       e.quality, e.read_at, e."values"
FROM meter_event e
JOIN meter m ON m.id = e.meter_id
CROSS JOIN utility z
LEFT JOIN LATERAL (
    SELECT * FROM event_code c WHERE c.code = e.code AND c.maker IN (m.maker, '') ORDER BY c.maker = '' LIMIT 1
) c ON true;
COMMENT ON VIEW event IS 'Events of meters in words. log status_word: occurred_at is when the change was seen.';
