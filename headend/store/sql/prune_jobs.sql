-- Jobs that ended long ago. The engine deletes what ends well by itself.
DELETE FROM procrastinate_jobs j
WHERE j.status NOT IN ('todo', 'doing')
  AND coalesce((SELECT max(e.at) FROM procrastinate_events e WHERE e.job_id = j.id), '-infinity') < %(before)s
