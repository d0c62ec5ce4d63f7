-- The registry: meters, their keys and counters, what they say of their own profiles, and how far they are settled.

CREATE TABLE utility (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    zone     text NOT NULL
);
COMMENT ON TABLE utility IS 'One row: the time zone in which the utility counts its days.';
INSERT INTO utility (zone) VALUES ('Asia/Kolkata');

CREATE FUNCTION utility_zone() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT zone FROM utility';

CREATE TABLE meter (
    id              int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL UNIQUE,
    serial          text NOT NULL UNIQUE,
    system_title    bytea UNIQUE CHECK (octet_length(system_title) = 8),
    device_id       text,
    address         text NOT NULL,
    meter_type      text NOT NULL,
    division        text NOT NULL,
    commissioned_at timestamptz NOT NULL,
    interval_s      int NOT NULL CHECK (interval_s BETWEEN 60 AND 86400),
    parked_at       timestamptz,
    parked_reason   text,
    last_contact    timestamptz,
    last_error      text,
    last_error_at   timestamptz,
    CHECK ((parked_at IS NULL) = (parked_reason IS NULL))
);
COMMENT ON COLUMN meter.interval_s IS 'Period of the block load profile in seconds, as the meter itself last said.';
COMMENT ON COLUMN meter.parked_at IS 'Since when the meter is left alone until an operator has looked; NULL: it is read.';
CREATE INDEX meter_division ON meter (division);

CREATE TABLE meter_key (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    meter_id   int NOT NULL REFERENCES meter,
    key_type   text NOT NULL CHECK (key_type IN ('encryption', 'authentication', 'lls_secret', 'hls_secret', 'master')),
    version    int NOT NULL CHECK (version > 0),
    state      text NOT NULL CHECK (state IN ('new', 'active', 'retired')),
    kek_id     text NOT NULL,
    nonce      bytea NOT NULL CHECK (octet_length(nonce) = 12),
    ciphertext bytea NOT NULL,
    UNIQUE (meter_id, key_type, version)
);
COMMENT ON TABLE meter_key IS 'Keys and secrets, encrypted (AES-256-GCM) under the key-encryption key that kek_id names.';
CREATE UNIQUE INDEX meter_key_active ON meter_key (meter_id, key_type) WHERE state = 'active';
CREATE UNIQUE INDEX meter_key_new ON meter_key (meter_id, key_type) WHERE state = 'new';

CREATE TABLE invocation_counter (
    meter_key_id int NOT NULL REFERENCES meter_key,
    system_title bytea NOT NULL CHECK (octet_length(system_title) = 8),
    highest      bigint NOT NULL CHECK (highest BETWEEN 0 AND 4294967295),
    alarm        boolean GENERATED ALWAYS AS (highest >= 2000000000) STORED,
    PRIMARY KEY (meter_key_id, system_title)
) WITH (fillfactor = 50);
COMMENT ON TABLE invocation_counter IS
    'Highest invocation counter issued (our system title) or accepted (the meter''s) under a key. Only ever rises.';

CREATE TABLE meter_profile (
    meter_id         int NOT NULL REFERENCES meter,
    profile          text NOT NULL,
    capture_objects  jsonb NOT NULL,
    scalers          jsonb NOT NULL,
    capture_period_s int NOT NULL,
    read_at          timestamptz NOT NULL,
    PRIMARY KEY (meter_id, profile)
);
COMMENT ON TABLE meter_profile IS
    'Layout of a profile as the meter itself gave it. capture_objects: [[class, obis, attribute, data index], …]; scalers: [[class, obis, attribute, scaler, unit], …].';

CREATE TABLE watermark (
    meter_id int NOT NULL REFERENCES meter,
    profile  text NOT NULL,
    settled  timestamptz NOT NULL,
    PRIMARY KEY (meter_id, profile)
) WITH (fillfactor = 50);
COMMENT ON COLUMN watermark.settled IS 'Start of the first slot that is neither stored nor expired.';
