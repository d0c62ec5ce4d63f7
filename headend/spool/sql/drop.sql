DELETE FROM entry WHERE id = :id AND error IS NOT NULL
