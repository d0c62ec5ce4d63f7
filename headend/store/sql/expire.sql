-- What slots, owed until now, the meters no longer hold: spans, by the horizon before which they are lost. The watermarks
-- concerned are locked until this transaction ends.
WITH overdue AS MATERIALIZED (
    SELECT w.meter_id, w.settled, first_slot(%(profile)s, %(horizon)s, m.interval_s, z.zone) AS horizon
    FROM watermark w JOIN meter m ON m.id = w.meter_id CROSS JOIN utility z
    WHERE w.meter_id = ANY (%(meters)b::int[]) AND w.profile = %(profile)s
      AND w.settled < first_slot(%(profile)s, %(horizon)s, m.interval_s, z.zone)
    ORDER BY w.meter_id
    FOR UPDATE OF w
)
SELECT o.meter_id, lower(gap), upper(gap)
FROM overdue o CROSS JOIN LATERAL unnest(
    tstzmultirange(tstzrange(o.settled, o.horizon))
    - coalesce((SELECT range_agg(tstzrange(s.starts, s.ends)) FROM stored_slot s
                WHERE s.meter_id = o.meter_id AND s.profile = %(profile)s
                  AND s.starts > o.settled - INTERVAL '1 hour' AND s.starts < o.horizon), '{}')
    - coalesce((SELECT range_agg(tstzrange(b.starts, b.ends)) FROM absence b
                WHERE b.meter_id = o.meter_id AND b.profile = %(profile)s AND b.proven_at IS NOT NULL), '{}')) AS gap
ORDER BY o.meter_id, gap
