SELECT set_chunk_time_interval(table_name, %(interval)s)
FROM unnest(ARRAY['interval_reading', 'interval_extra']::regclass[]) AS table_name
