-- The meter is read again, and its segment is due now.
WITH unparked AS (
    UPDATE meter SET parked_at = NULL, parked_reason = NULL, try_again_at = NULL, refusals = 0
    WHERE id = %(meter)s AND parked_at IS NOT NULL
    RETURNING segment_id
)
DELETE FROM schedule s USING unparked u WHERE s.segment_id = u.segment_id
