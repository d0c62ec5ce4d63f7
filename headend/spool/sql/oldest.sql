SELECT id, weight, octets FROM entry WHERE kind = :kind AND error IS NULL ORDER BY id LIMIT :limit
