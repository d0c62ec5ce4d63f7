SELECT meter_id, capture_objects, scalers, capture_period_s
FROM meter_profile
WHERE meter_id = ANY (%(meters)b::int[]) AND profile = %(profile)s
