-- Nothing behind a segment answers: it is left alone for a while, which doubles; what it is due for waits as long.
WITH down AS (
    UPDATE segment
    SET down_since = coalesce(down_since, %(at)s), down_reason = %(reason)s, failures = failures + 1,
        try_again_at = %(at)s + least(INTERVAL '30 minutes', INTERVAL '1 minute' * power(2, least(failures, 10)))
    WHERE id = %(segment)s
    RETURNING id, try_again_at
)
INSERT INTO schedule AS s (segment_id, task, due_at)
SELECT down.id, task, down.try_again_at FROM down CROSS JOIN unnest(%(tasks)s::text[]) AS task
ON CONFLICT (segment_id, task) DO UPDATE SET due_at = least(s.due_at, EXCLUDED.due_at)
RETURNING due_at
