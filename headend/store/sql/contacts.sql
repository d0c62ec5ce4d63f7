-- When meters last answered, how they last failed, and who is to be left alone for it: a failure that is known already
-- parks nobody again, and who refused our keys so many visits in a row is parked too. Answers with those that were.
WITH news AS MATERIALIZED (
    SELECT m.id, c.answered_at, c.failed_at, c.error,
           coalesce(c.answered_at > coalesce(m.last_contact, '-infinity'), false) AS answers,
           coalesce(c.failed_at > coalesce(m.last_error_at, '-infinity'), false) AS fails,
           m.parked_at IS NULL AND (c.park OR c.refused AND m.refusals + 1 >= %(refusals)b::int) AS parks,
           CASE WHEN c.refused THEN m.refusals + 1 ELSE m.refusals END AS refusals,
           CASE WHEN c.refused AND NOT c.park
                THEN c.error || format(': refused %%s visits in a row, so its keys are others, or it is another meter',
                                       m.refusals + 1)
                ELSE c.error END AS reason
    FROM unnest(%(meters)b::int[], %(answered_at)b::timestamptz[], %(failed_at)b::timestamptz[], %(error)b::text[],
                %(park)b::boolean[], %(refused)b::boolean[])
         AS c (meter_id, answered_at, failed_at, error, park, refused)
    JOIN meter m ON m.id = c.meter_id
), changed AS (
    UPDATE meter m
    SET last_contact = greatest(m.last_contact, n.answered_at),
        state = CASE WHEN n.answers AND m.state <> 'retired' THEN 'active' ELSE m.state END,
        last_error = CASE WHEN n.fails THEN n.error ELSE m.last_error END,
        last_error_at = greatest(m.last_error_at, n.failed_at),
        refusals = CASE WHEN n.answers THEN 0 WHEN n.fails THEN n.refusals ELSE m.refusals END,
        parked_at = CASE WHEN n.fails AND n.parks THEN n.failed_at ELSE m.parked_at END,
        parked_reason = CASE WHEN n.fails AND n.parks THEN n.reason ELSE m.parked_reason END
    FROM news n
    WHERE m.id = n.id AND (n.answers OR n.fails)
    RETURNING m.id, m.name, CASE WHEN n.fails AND n.parks THEN n.reason END AS parked_for
)
SELECT id, name, parked_for FROM changed WHERE parked_for IS NOT NULL
