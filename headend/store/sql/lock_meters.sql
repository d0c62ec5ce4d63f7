-- Locks the watermarks of a batch's meters, in order: it keeps other writers of the same meters out until this
-- transaction ends, so that what is asked next about stored rows stays true.
SELECT meter_id FROM watermark
WHERE meter_id = ANY (%(meters)b::int[]) AND profile = %(profile)s
ORDER BY meter_id
FOR UPDATE
