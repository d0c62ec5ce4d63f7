-- When meters last answered, how they last failed, and who is to be left alone for it: a failure that is known already
-- parks nobody again. Answers with those that were parked.
WITH news AS MATERIALIZED (
    SELECT m.id, c.answered_at, c.failed_at, c.error,
           coalesce(c.answered_at > coalesce(m.last_contact, '-infinity'), false) AS answers,
           coalesce(c.failed_at > coalesce(m.last_error_at, '-infinity'), false) AS fails,
           c.park AND m.parked_at IS NULL AS parks
    FROM unnest(%(meters)b::int[], %(answered_at)b::timestamptz[], %(failed_at)b::timestamptz[], %(error)b::text[],
                %(park)b::boolean[]) AS c (meter_id, answered_at, failed_at, error, park)
    JOIN meter m ON m.id = c.meter_id
), changed AS (
    UPDATE meter m
    SET last_contact = greatest(m.last_contact, n.answered_at),
        state = CASE WHEN n.answers AND m.state <> 'retired' THEN 'active' ELSE m.state END,
        last_error = CASE WHEN n.fails THEN n.error ELSE m.last_error END,
        last_error_at = greatest(m.last_error_at, n.failed_at),
        parked_at = CASE WHEN n.fails AND n.parks THEN n.failed_at ELSE m.parked_at END,
        parked_reason = CASE WHEN n.fails AND n.parks THEN n.error ELSE m.parked_reason END
    FROM news n
    WHERE m.id = n.id AND (n.answers OR n.fails)
    RETURNING m.id, m.name, CASE WHEN n.fails AND n.parks THEN n.error END AS parked_for
)
SELECT id, name, parked_for FROM changed WHERE parked_for IS NOT NULL
