-- Those that are still not registered, the most recent first.
SELECT d.sender, d.system_title, d.device_id, d.peer, d.reason, d.first_seen, d.last_seen, d.messages, d.first_message
FROM discovered_meter d
WHERE NOT EXISTS (SELECT FROM meter m WHERE m.system_title = d.system_title)
  AND NOT EXISTS (SELECT FROM meter m WHERE m.device_id = d.device_id)
ORDER BY d.last_seen DESC, d.sender
LIMIT %(limit)s
