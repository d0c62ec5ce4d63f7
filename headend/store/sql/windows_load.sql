SELECT w.meter_key_id, w.system_title, w.highest, w.bitmap
FROM push_window w JOIN unnest(%(keys)b::int[], %(titles)b::bytea[]) AS k (key_id, title)
    ON w.meter_key_id = k.key_id AND w.system_title = k.title
ORDER BY w.meter_key_id, w.system_title
FOR UPDATE OF w
