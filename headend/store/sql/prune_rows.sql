-- What is partitioned on TimescaleDB alone, on plain PostgreSQL.
WITH profiles AS (
    DELETE FROM profile_reading WHERE ts < %(since)s
), events AS (
    DELETE FROM meter_event WHERE occurred_at < %(since)s
)
DELETE FROM clock_check WHERE at < %(clocks_since)s
