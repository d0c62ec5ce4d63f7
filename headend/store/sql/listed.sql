-- The rows of a meter list, without their keys, for one transaction. NULL: leave alone what is stored.
CREATE TEMPORARY TABLE listed (
    line            int NOT NULL,
    name            text NOT NULL,
    serial          text,
    address         text,
    meter_type      text,
    commissioned_at timestamptz,
    interval_s      int,
    circle          text,
    division        text,
    feeder          text,
    transformer     text,
    consumer_id     text,
    segment         text,
    system_title    bytea,
    device_id       text
) ON COMMIT DROP
