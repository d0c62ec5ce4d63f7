SELECT time_interval
FROM timescaledb_information.dimensions
WHERE hypertable_schema = current_schema AND hypertable_name = 'interval_reading'
