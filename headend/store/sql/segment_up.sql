UPDATE segment SET down_since = NULL, down_reason = NULL, try_again_at = NULL, failures = 0
WHERE id = %(segment)s AND (down_since IS NOT NULL OR failures > 0)
RETURNING name
