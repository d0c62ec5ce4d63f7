INSERT INTO schedule AS s (segment_id, task, due_at)
SELECT %(segment)s, task, due_at FROM unnest(%(tasks)s::text[], %(due_at)s::timestamptz[]) AS n (task, due_at)
ON CONFLICT (segment_id, task) DO UPDATE SET due_at = EXCLUDED.due_at
