UPDATE push_window w SET highest = k.highest, bitmap = k.bitmap
FROM unnest(%(keys)b::int[], %(titles)b::bytea[], %(highest)b::bigint[], %(bitmap)b::bigint[]) AS k (key_id, title, highest, bitmap)
WHERE w.meter_key_id = k.key_id AND w.system_title = k.title
