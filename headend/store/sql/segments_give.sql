-- Answers the meters that were there before and were given another segment by name.
WITH given AS (
    UPDATE meter m SET segment_id = s.id
    FROM wanted w JOIN segment s ON s.name = w.name
    WHERE m.id = w.meter_id AND w.segment_before IS DISTINCT FROM s.id
    RETURNING m.id, w.kind
)
SELECT id FROM given WHERE kind = 'given' AND id <= %(newest)s
