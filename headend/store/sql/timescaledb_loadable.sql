-- Whether CREATE EXTENSION timescaledb can work: its loader is preloaded (it defines the setting), the files are there.
SELECT current_setting('timescaledb.max_background_workers', true) IS NOT NULL
   AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
