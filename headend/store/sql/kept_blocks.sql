-- Pushed blocks that were kept until their meter's scalers are known, where something of its layouts was read since.
SELECT s.id, s.raw, s.stamp, s.read_at, s.reason, m.serial, m.system_title
FROM suspect_row s JOIN meter m ON m.id = s.meter_id
WHERE s.reason LIKE 'a block of a meter whose scalers no visit has read yet%%' AND s.id > %(after)s AND m.state <> 'retired'
  AND EXISTS (SELECT FROM meter_profile p WHERE p.meter_id = s.meter_id AND p.read_at > s.read_at AND p.scalers <> '[]')
ORDER BY s.id
LIMIT %(limit)s
