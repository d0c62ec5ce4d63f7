-- Readings that lost already within their own read: to reading_revision, once.
INSERT INTO reading_revision
SELECT s.* FROM interval_staging s
WHERE NOT EXISTS (
    SELECT FROM reading_revision v
    WHERE v.meter_id = s.meter_id AND v.ts = s.ts AND v.read_at = s.read_at
      AND reading_values(ROW (v.*)::interval_reading) IS NOT DISTINCT FROM reading_values(ROW (s.*)::interval_reading))
