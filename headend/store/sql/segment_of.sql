SELECT id, name, down_since, try_again_at, failures FROM segment WHERE id = %(segment)s
