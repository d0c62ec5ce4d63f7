-- What is known of a meter beside its row in the registry.
SELECT m.maker, m.model, m.firmware, m.identified_at, s.name AS segment, s.down_reason AS segment_down,
       m.retired_at, m.parked_at, m.try_again_at, m.last_error, m.last_error_at, w.settled AS complete_until,
       o.spans AS owed_spans, o.intervals AS owed_intervals, o.oldest AS owed_since,
       c.at AS clock_at, c.drift_ms, c.suspect AS clock_suspect, c.set_to AS clock_set_to
FROM meter m
LEFT JOIN segment s ON s.id = m.segment_id
LEFT JOIN watermark w ON w.meter_id = m.id AND w.profile = 'block_load'
CROSS JOIN LATERAL (
    SELECT count(*) AS spans, min(starts_at) AS oldest,
           coalesce(sum(extract(epoch FROM ends_at - starts_at) / m.interval_s), 0)::bigint AS intervals
    FROM owed_spans('block_load', %(now)s) g
    WHERE g.meter_id = %(meter)s
) o
LEFT JOIN LATERAL (
    SELECT k.at, k.drift_ms, k.suspect, k.set_to FROM clock_check k
    WHERE k.meter_id = %(meter)s
    ORDER BY k.at DESC
    LIMIT 1
) c ON true
WHERE m.id = %(meter)s
