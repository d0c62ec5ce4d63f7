SELECT (SELECT count(*) FROM listed), coalesce(max(id), 0) FROM meter
