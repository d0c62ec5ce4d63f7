SELECT meter_id, log, sequence, occurred_at FROM event_mark WHERE meter_id = ANY (%(meters)b::int[])
