DELETE FROM suspect_row WHERE id = ANY (%(ids)s::bigint[])
