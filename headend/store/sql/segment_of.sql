-- A segment, since when it is down, and how many meters of it may be asked.
SELECT name, down_since, try_again_at,
       (SELECT count(*) FROM meter m
        WHERE m.segment_id = s.id AND (m.parked_reason IS NULL OR m.try_again_at <= %(now)s) AND m.state <> 'retired')
FROM segment s
WHERE id = %(segment)s
