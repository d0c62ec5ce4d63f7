SELECT meter_id, at, bits FROM meter_status_word WHERE meter_id = ANY (%(meters)b::int[])
