-- Outages for times that still belong to none: one for those of a transformer that follow each other closely.
INSERT INTO outage (division, feeder, transformer, meter_id, first_seen, last_off, opened_at)
SELECT division, feeder, transformer, alone, min(off_at), max(off_at), %(now)s
FROM (
    SELECT division, feeder, transformer, alone, off_at,
           sum(apart) OVER (PARTITION BY division, feeder, transformer, alone ORDER BY off_at ROWS UNBOUNDED PRECEDING) AS nth
    FROM (
        SELECT coalesce(p.division, m.division) AS division, coalesce(p.feeder, '') AS feeder,
               coalesce(p.transformer, '') AS transformer, CASE WHEN p.transformer <> '' THEN NULL ELSE r.meter_id END AS alone,
               r.off_at,
               coalesce(r.off_at - lag(r.off_at) OVER (
                   PARTITION BY coalesce(p.division, m.division), p.feeder, p.transformer,
                                CASE WHEN p.transformer <> '' THEN NULL ELSE r.meter_id END
                   ORDER BY r.off_at) > make_interval(secs => %(together_s)s), false)::int AS apart
        FROM outage_meter r
        JOIN meter m ON m.id = r.meter_id
        LEFT JOIN meter_place p ON p.meter_id = r.meter_id
        WHERE r.outage_id IS NULL AND r.meter_id = ANY (%(meters)s::int[])
    ) placed
) clustered
GROUP BY division, feeder, transformer, alone, nth
ORDER BY min(off_at)
