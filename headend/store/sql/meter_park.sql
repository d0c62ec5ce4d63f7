-- A person parks it: the first reason stays, but for one of a visit's, which would have it tried again.
UPDATE meter SET parked_at = %(at)s, parked_reason = %(reason)s, try_again_at = NULL
WHERE id = %(meter)s AND (parked_at IS NULL OR try_again_at IS NOT NULL)
