CREATE TEMP TABLE IF NOT EXISTS interval_staging (LIKE interval_reading) ON COMMIT DELETE ROWS;
DELETE FROM interval_staging
