-- Segments with new or changed meters are due now, for everything.
DELETE FROM schedule s
USING meter m
WHERE m.segment_id = s.segment_id AND (m.id > %(newest)s OR m.id = ANY (%(changed)s::int[]))
