SELECT kind, octets FROM entry WHERE id = :id
