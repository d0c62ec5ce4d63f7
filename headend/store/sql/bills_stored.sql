SELECT DISTINCT meter_id FROM profile_reading WHERE meter_id = ANY (%(meters)b::int[]) AND profile = 'billing'
