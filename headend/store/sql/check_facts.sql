-- What the server is like, and what fleet it serves: what `headend db check` judges.
SELECT current_setting('server_version_num')::int AS postgresql,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb,
       pg_size_bytes(current_setting('shared_buffers')) AS shared_buffers,
       pg_size_bytes(current_setting('effective_cache_size')) AS effective_cache_size,
       pg_size_bytes(current_setting('max_wal_size')) AS max_wal_size,
       extract(epoch FROM current_setting('checkpoint_timeout')::interval)::int AS checkpoint_timeout_s,
       current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int AS reserved_connections,
       current_setting('max_locks_per_transaction')::int
           * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int) AS locks,
       current_setting('autovacuum')::boolean AND current_setting('track_counts')::boolean AS autovacuum,
       (SELECT zone FROM utility) AS zone,
       EXISTS (SELECT FROM pg_timezone_names WHERE name = %(zone)s) AS zone_known,
       (SELECT count(*) FROM meter WHERE state <> 'retired') AS meters,
       (SELECT coalesce(sum(86400 / interval_s), 0) FROM meter WHERE state <> 'retired')::bigint AS rows_per_day,
       (SELECT (count(*) + 1) / 2 FROM procrastinate_workers WHERE last_heartbeat > %(alive_since)s)::int AS nodes
