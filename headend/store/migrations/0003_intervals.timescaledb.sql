-- Block load on TimescaleDB. The chunk interval is a setting, applied after the migrations.

CREATE TABLE interval_reading (LIKE reading_revision, PRIMARY KEY (meter_id, ts));
CREATE INDEX interval_reading_ts ON interval_reading USING brin (ts) WITH (pages_per_range = 32);

CREATE TABLE interval_extra (
    meter_id  int NOT NULL,
    unit      smallint,
    class_id  int NOT NULL,
    attribute smallint NOT NULL,
    ts        timestamptz NOT NULL,
    read_at   timestamptz NOT NULL,
    obis      text NOT NULL,
    value     numeric,
    raw       bytea NOT NULL,
    PRIMARY KEY (meter_id, ts, class_id, obis, attribute)
);
COMMENT ON TABLE interval_extra IS 'What no column of interval_reading holds: unknown objects, and values too fine or too large for one.';

SELECT create_hypertable('interval_reading', 'ts', chunk_time_interval => INTERVAL '7 days', create_default_indexes => false);
SELECT create_hypertable('interval_extra', 'ts', chunk_time_interval => INTERVAL '7 days', create_default_indexes => false);
