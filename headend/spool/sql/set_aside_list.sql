SELECT id, kind, at, origin, length(octets) AS octets, error, failed_at
FROM entry
WHERE error IS NOT NULL AND id > :after
ORDER BY id
LIMIT :limit
