-- Who answers has power again; who is retired, or has been off for so long, is no longer counted.
UPDATE outage_meter r
SET on_at = n.on_at, evidence = r.evidence | n.evidence
FROM (
    SELECT a.meter_id, a.off_at,
           CASE WHEN h.answers THEN m.last_contact ELSE greatest(coalesce(m.retired_at, %(now)s), a.off_at + INTERVAL '1 second') END AS on_at,
           CASE WHEN h.answers THEN 64 ELSE 128 END AS evidence
    FROM outage_meter a
    JOIN meter m ON m.id = a.meter_id
    CROSS JOIN LATERAL (
        SELECT coalesce(m.last_contact > a.off_at + make_interval(secs => %(answers_after_s)s), false) AS answers
    ) h
    WHERE a.on_at IS NULL
      AND (h.answers OR m.retired_at IS NOT NULL OR a.off_at < %(now)s - make_interval(hours => %(give_up_h)s))
) n
WHERE r.meter_id = n.meter_id AND r.off_at = n.off_at
RETURNING r.outage_id
