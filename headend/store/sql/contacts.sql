-- When meters last answered, how they last failed, and who is to be left alone for it: a failure that is known already
-- parks nobody again, and who refused our keys so many visits in a row is parked too. All that a visit was told may be
-- forged, so who was parked by one is asked again: for another thing than its keys after a day, for them after an hour,
-- which doubles up to a day; and is parked no more once it lets a visit in. Answers with those that were, and why; those
-- that are no more have no reason.
WITH news AS MATERIALIZED (
    SELECT m.id, c.answered_at, c.failed_at, c.error, c.missed, c.park, m.parked_at IS NOT NULL AS parked,
           coalesce(c.answered_at > coalesce(m.last_contact, '-infinity'), false) AS answers,
           coalesce(c.failed_at > coalesce(m.last_error_at, '-infinity'), false) AS fails,
           c.let_in AND greatest(c.answered_at, c.failed_at) > coalesce(m.parked_at, '-infinity') AS let_in,
           (m.parked_at IS NULL OR m.try_again_at IS NOT NULL)
               AND (c.park OR c.refused AND m.refusals + 1 >= %(refusals)b::int) AS parks,
           CASE WHEN c.refused THEN m.refusals + 1 ELSE m.refusals END AS refusals,
           CASE WHEN c.refused AND NOT c.park
                THEN c.error || format(': refused %%s visits in a row, so its keys are others, or it is another meter',
                                       m.refusals + 1)
                ELSE c.error END AS reason
    FROM unnest(%(meters)b::int[], %(answered_at)b::timestamptz[], %(failed_at)b::timestamptz[], %(error)b::text[],
                %(park)b::boolean[], %(refused)b::boolean[], %(let_in)b::boolean[], %(missed)b::text[])
         AS c (meter_id, answered_at, failed_at, error, park, refused, let_in, missed)
    JOIN meter m ON m.id = c.meter_id
), decided AS (
    SELECT id, answered_at, failed_at, error, missed, answers, fails, let_in, refusals, reason, parked,
           fails AND parks AS parks,
           failed_at + CASE WHEN park THEN INTERVAL '1 day'
                            ELSE least(INTERVAL '1 day',
                                       INTERVAL '1 hour' * power(2, least(refusals - %(refusals)b::int, 5)))
                       END AS again_at
    FROM news
), changed AS (
    UPDATE meter m
    SET last_contact = greatest(m.last_contact, n.answered_at),
        state = CASE WHEN n.answers AND m.state <> 'retired' THEN 'active' ELSE m.state END,
        last_error = CASE WHEN n.fails THEN n.error ELSE m.last_error END,
        last_error_at = greatest(m.last_error_at, n.failed_at),
        missed = coalesce(string_to_array(n.missed, ' '), m.missed),
        refusals = CASE WHEN n.let_in THEN 0 WHEN n.fails THEN n.refusals ELSE m.refusals END,
        parked_at = CASE WHEN n.parks THEN coalesce(m.parked_at, n.failed_at)
                         WHEN n.let_in AND m.try_again_at IS NOT NULL THEN NULL
                         ELSE m.parked_at END,
        parked_reason = CASE WHEN n.parks THEN n.reason
                             WHEN n.let_in AND m.try_again_at IS NOT NULL THEN NULL
                             ELSE m.parked_reason END,
        try_again_at = CASE WHEN n.parks THEN n.again_at WHEN n.let_in THEN NULL ELSE m.try_again_at END
    FROM decided n
    WHERE m.id = n.id AND (n.answers OR n.fails)
    RETURNING m.id, m.name, n.parked, m.parked_reason
)
SELECT id, name, parked_reason FROM changed WHERE parked <> (parked_reason IS NOT NULL)
