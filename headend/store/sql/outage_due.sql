-- Segments with meters of outages that are over are due for what these recorded meanwhile.
DELETE FROM schedule d
USING (SELECT DISTINCT m.segment_id
       FROM outage_meter r JOIN meter m ON m.id = r.meter_id
       WHERE r.outage_id = ANY (%(outages)s::int[])) s
WHERE d.segment_id = s.segment_id AND d.task IN ('block_load', 'events')
