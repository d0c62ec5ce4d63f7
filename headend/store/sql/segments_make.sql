INSERT INTO segment (name, kind) SELECT name, min(kind) FROM wanted GROUP BY name ORDER BY name
ON CONFLICT (name) DO NOTHING
