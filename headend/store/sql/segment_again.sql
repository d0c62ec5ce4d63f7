-- Meters of the segment failed where trying again can help: it is due for the same sooner than it would be.
UPDATE schedule SET due_at = least(due_at, %(at)s) WHERE segment_id = %(segment)s AND task = ANY (%(tasks)s::text[])
