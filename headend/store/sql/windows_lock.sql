-- Locks the replay windows of a batch's pushes, in order, until this transaction ends.
SELECT w.meter_key_id, w.system_title, w.highest, w.bitmap
FROM push_window w
JOIN unnest(%(keys)b::int[], %(titles)b::bytea[]) AS p (key_id, title)
  ON p.key_id = w.meter_key_id AND p.title = w.system_title
ORDER BY w.meter_key_id, w.system_title
FOR UPDATE OF w
