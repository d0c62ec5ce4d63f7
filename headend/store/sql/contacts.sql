-- When meters last answered, how they last failed, and who is to be left alone for it: a failure that is known already
-- parks nobody again. Answers with those that were parked.
WITH before AS MATERIALIZED (
    SELECT m.id, c.answered_at, c.failed_at, c.error, c.failed_at > coalesce(m.last_error_at, '-infinity') AS fails_anew,
           c.park AND m.parked_at IS NULL AS parks
    FROM unnest(%(meters)b::int[], %(answered_at)b::timestamptz[], %(failed_at)b::timestamptz[], %(error)b::text[],
                %(park)b::boolean[]) AS c (meter_id, answered_at, failed_at, error, park)
    JOIN meter m ON m.id = c.meter_id
    WHERE c.answered_at > coalesce(m.last_contact, '-infinity')
       OR c.failed_at > coalesce(m.last_error_at, '-infinity')
), changed AS (
    UPDATE meter m
    SET last_contact = greatest(m.last_contact, b.answered_at),
        last_error = CASE WHEN b.fails_anew THEN b.error ELSE m.last_error END,
        last_error_at = greatest(m.last_error_at, b.failed_at),
        parked_at = CASE WHEN b.fails_anew AND b.parks THEN b.failed_at ELSE m.parked_at END,
        parked_reason = CASE WHEN b.fails_anew AND b.parks THEN b.error ELSE m.parked_reason END
    FROM before b
    WHERE m.id = b.id
    RETURNING m.id, m.name, CASE WHEN b.fails_anew AND b.parks THEN b.error END AS parked_for
)
SELECT id, name, parked_for FROM changed WHERE parked_for IS NOT NULL
