SELECT meter_id, profile, capture_objects::text, scalers::text, capture_period_s
FROM meter_profile
WHERE meter_id = ANY (%(meters)b::int[]) AND profile = ANY (%(profiles)b::text[])
