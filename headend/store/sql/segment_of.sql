SELECT name, down_since, try_again_at FROM segment WHERE id = %(segment)s
