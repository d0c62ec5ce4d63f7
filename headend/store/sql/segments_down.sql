SELECT name, down_since, down_reason, try_again_at FROM segment WHERE down_since IS NOT NULL ORDER BY down_since, name
LIMIT %(limit)s
