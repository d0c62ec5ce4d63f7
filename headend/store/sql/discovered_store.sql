-- New senders as long as there is room for them, and what came of those that are known; answers the senders it has.
INSERT INTO discovered_meter AS d
    (sender, system_title, device_id, peer, reason, first_seen, last_seen, messages, first_message)
SELECT u.sender, u.system_title, u.device_id, u.peer, u.reason, u.first_seen, u.last_seen, u.messages, u.first_message
FROM (
    SELECT n.*, row_number() OVER (PARTITION BY k.sender IS NULL ORDER BY n.first_seen, n.sender) AS place,
           k.sender AS known
    FROM unnest(%(sender)b::text[], %(system_title)b::bytea[], %(device_id)b::text[], %(peer)b::text[],
                %(reason)b::text[], %(first_seen)b::timestamptz[], %(last_seen)b::timestamptz[], %(messages)b::bigint[],
                %(first_message)b::bytea[])
        AS n (sender, system_title, device_id, peer, reason, first_seen, last_seen, messages, first_message)
    LEFT JOIN discovered_meter k ON k.sender = n.sender
) u
WHERE u.known IS NOT NULL OR u.place <= %(most)s - (SELECT count(*) FROM discovered_meter)
ORDER BY u.sender
ON CONFLICT (sender) DO UPDATE
SET last_seen = greatest(d.last_seen, EXCLUDED.last_seen),
    messages = d.messages + EXCLUDED.messages,
    peer = EXCLUDED.peer,
    reason = EXCLUDED.reason
RETURNING sender
