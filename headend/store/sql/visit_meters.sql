-- The meters of a segment that may be asked, or those with these ids.
SELECT id, name, serial, system_title, address, meter_type, commissioned_at, interval_s, maker, firmware, identified_at
FROM meter
WHERE parked_reason IS NULL AND state <> 'retired'
  AND (segment_id = %(segment)s OR id = ANY (%(meters)b::int[]))
ORDER BY id
