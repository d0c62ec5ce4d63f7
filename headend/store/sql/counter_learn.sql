-- Raises a counter to what the meter says that it has seen, by at most max_step; nothing comes back when it is more.
INSERT INTO invocation_counter AS c (meter_key_id, system_title, highest)
SELECT %(key)s, %(title)s, %(seen)s
WHERE %(seen)s <= %(max_step)s
   OR EXISTS (SELECT FROM invocation_counter k WHERE k.meter_key_id = %(key)s AND k.system_title = %(title)s)
ON CONFLICT (meter_key_id, system_title) DO UPDATE SET highest = greatest(c.highest, EXCLUDED.highest)
WHERE EXCLUDED.highest <= c.highest + %(max_step)s
RETURNING c.highest
