UPDATE meter m
SET last_contact = CASE WHEN c.error IS NULL THEN greatest(m.last_contact, c.at) ELSE m.last_contact END,
    last_error = coalesce(c.error, m.last_error),
    last_error_at = CASE WHEN c.error IS NULL THEN m.last_error_at ELSE c.at END,
    state = CASE WHEN c.error IS NULL AND m.state <> 'retired' THEN 'active' ELSE m.state END
FROM unnest(%(meter_id)b::int[], %(at)b::timestamptz[], %(error)b::text[]) AS c (meter_id, at, error)
WHERE m.id = c.meter_id
