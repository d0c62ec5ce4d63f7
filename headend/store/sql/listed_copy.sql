COPY listed (line, name, serial, address, meter_type, commissioned_at, circle, division, feeder, transformer, consumer_id,
             segment, system_title, device_id, interval_s)
FROM STDIN
