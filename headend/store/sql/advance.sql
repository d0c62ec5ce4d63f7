-- Moves watermarks over runs of rows just stored. `probe`: rows that were stored before may follow the run.
UPDATE watermark w
SET settled = CASE
    WHEN run.probe OR EXISTS (
        SELECT FROM absence a
        WHERE a.meter_id = w.meter_id AND a.profile = w.profile AND a.proven_at IS NOT NULL
          AND a.starts <= run.until AND a.ends > run.until)
    THEN next_owed(w.meter_id, w.profile, run.until) ELSE run.until END
FROM unnest(%(meters)b::int[], %(first)b::timestamptz[], %(until)b::timestamptz[], %(probe)b::boolean[])
    AS run (meter_id, first, until, probe)
WHERE w.meter_id = run.meter_id AND w.profile = %(profile)s AND w.settled >= run.first AND w.settled < run.until
