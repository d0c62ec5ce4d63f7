UPDATE meter SET parked_at = %(at)s, parked_reason = %(reason)s
WHERE id = %(meter)s AND parked_at IS NULL
