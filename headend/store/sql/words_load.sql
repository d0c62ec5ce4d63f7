SELECT meter_id, at, read_at, bits FROM meter_status_word WHERE meter_id = ANY (%(meters)b::int[])
