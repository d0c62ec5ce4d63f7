UPDATE meter SET parked_at = NULL, parked_reason = NULL
WHERE id = %(meter)s AND parked_at IS NOT NULL
