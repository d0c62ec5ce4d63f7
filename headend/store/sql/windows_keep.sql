UPDATE push_window w SET highest = p.highest, bitmap = p.bitmap
FROM unnest(%(keys)b::int[], %(titles)b::bytea[], %(highest)b::bigint[], %(bitmap)b::bigint[])
    AS p (key_id, title, highest, bitmap)
WHERE w.meter_key_id = p.key_id AND w.system_title = p.title
