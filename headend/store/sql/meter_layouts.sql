SELECT profile, capture_period_s, jsonb_array_length(capture_objects), read_at
FROM meter_profile
WHERE meter_id = %(meter)s
ORDER BY profile
