SELECT EXISTS (SELECT 1 FROM entry WHERE kind = :kind AND error IS NULL) AS waiting
