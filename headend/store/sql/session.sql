SET timezone = 'UTC';
SET statement_timeout = '120s';
SET lock_timeout = '60s';
SET idle_in_transaction_session_timeout = '300s';
SET application_name = 'headend';
SET client_min_messages = 'warning';
-- Late rows go into compressed chunks, however many of them that opens; without TimescaleDB it means nothing.
SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0
