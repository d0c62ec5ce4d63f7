SELECT meter_id, key_type, max(version)
FROM meter_key
WHERE meter_id = ANY (%(meters)b::int[])
GROUP BY meter_id, key_type
