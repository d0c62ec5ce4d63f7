SELECT w.kind, w.entries, (SELECT e.at FROM entry e WHERE e.id = w.first) AS oldest_at
FROM (SELECT kind, count(*) AS entries, min(id) AS first FROM entry WHERE error IS NULL GROUP BY kind) w
