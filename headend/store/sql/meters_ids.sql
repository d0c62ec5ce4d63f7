SELECT name, id FROM meter WHERE name = ANY (%(name)b::text[])
