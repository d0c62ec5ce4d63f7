SELECT meter_id FROM meter_key WHERE state = 'active' LIMIT 1
