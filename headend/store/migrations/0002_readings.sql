-- Block load: the columns, once. interval_reading (next migration, one form per edition) takes them from here.
-- ts is the start of the interval in UTC. Values are thousandths of the SI unit; NULL: the meter has no such column.
-- No foreign key to meter: its check would cost each row more than the row itself.

CREATE TABLE reading_revision (
    meter_id            int NOT NULL,
    interval_s          int NOT NULL,
    ts                  timestamptz NOT NULL,
    read_at             timestamptz NOT NULL,
    quality             int NOT NULL,
    source              smallint NOT NULL,
    voltage             bigint,  -- mV
    voltage_l1          bigint,  -- mV
    voltage_l2          bigint,  -- mV
    voltage_l3          bigint,  -- mV
    current             bigint,  -- mA
    current_l1          bigint,  -- mA
    current_l2          bigint,  -- mA
    current_l3          bigint,  -- mA
    neutral_current     bigint,  -- mA
    wh_import           bigint,  -- mWh
    wh_export           bigint,  -- mWh
    vah_import          bigint,  -- mVAh
    vah_export          bigint,  -- mVAh
    varh_q1             bigint,  -- mvarh
    varh_q2             bigint,  -- mvarh
    varh_q3             bigint,  -- mvarh
    varh_q4             bigint,  -- mvarh
    w_import            bigint,  -- mW
    w_instant           bigint,  -- mW
    va_instant          bigint,  -- mVA
    power_factor        bigint,  -- thousandths
    power_factor_l1     bigint,  -- thousandths
    power_factor_l2     bigint,  -- thousandths
    power_factor_l3     bigint,  -- thousandths
    frequency           bigint,  -- mHz
    wh_import_register  bigint,  -- mWh
    wh_export_register  bigint,  -- mWh
    vah_import_register bigint,  -- mVAh
    vah_export_register bigint,  -- mVAh
    meter_health        bigint,  -- as the meter gives it
    signal_strength     bigint  -- as the meter gives it
);
COMMENT ON TABLE reading_revision IS 'Readings that lost to another one of the same meter and interval.';
CREATE INDEX reading_revision_interval ON reading_revision (meter_id, ts);

CREATE TABLE suspect_row (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    meter_id int NOT NULL,
    reason   text NOT NULL,
    stamp    bytea NOT NULL,
    raw      bytea NOT NULL,
    digest   bytea NOT NULL GENERATED ALWAYS AS (sha256(raw)) STORED,
    read_at  timestamptz NOT NULL,
    source   smallint NOT NULL,
    UNIQUE (meter_id, digest, reason)
);
COMMENT ON TABLE suspect_row IS 'Rows whose stamp cannot be believed: the octets of stamp and row as the meter sent them. read_at: when first read.';
