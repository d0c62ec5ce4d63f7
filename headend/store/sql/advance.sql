-- Moves watermarks over runs of rows just stored. `probe`: rows that were stored before may follow the run.
UPDATE watermark w
SET settled = CASE WHEN run.probe THEN next_unstored(w.meter_id, run.until) ELSE run.until END
FROM unnest(%(meters)b::int[], %(first)b::timestamptz[], %(until)b::timestamptz[], %(probe)b::boolean[])
    AS run (meter_id, first, until, probe)
WHERE w.meter_id = run.meter_id AND w.profile = %(profile)s AND w.settled >= run.first AND w.settled < run.until
