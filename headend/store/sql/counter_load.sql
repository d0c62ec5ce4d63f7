SELECT meter_key_id, system_title, highest
FROM invocation_counter
WHERE meter_key_id = ANY (%(keys)b::int[])
