DELETE FROM absence
WHERE meter_id = ANY (%(meters)b::int[]) AND profile = %(profile)s AND proven_at IS NULL
