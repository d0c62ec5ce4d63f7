SELECT meter_id, key_type, max(version)
FROM meter_key
WHERE meter_id = ANY (%(meters)s)
GROUP BY meter_id, key_type
