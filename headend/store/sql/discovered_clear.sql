-- Makes room: what is registered by now, and what has not been heard of for long.
DELETE FROM discovered_meter d
WHERE d.last_seen < %(before)s
   OR EXISTS (SELECT FROM meter m WHERE m.system_title = d.system_title)
   OR EXISTS (SELECT FROM meter m WHERE m.device_id = d.device_id)
