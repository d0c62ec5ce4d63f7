-- The meters of a segment that may be asked, or those with these ids; whether the last visit to each failed, and what
-- it did not come to. Who is parked may be asked only where it is time to try it again.
SELECT id, name, serial, system_title, address, meter_type, commissioned_at, interval_s, maker, firmware, identified_at,
       coalesce(last_error_at > coalesce(last_contact, '-infinity'), false) AS failed, missed
FROM meter
WHERE (parked_reason IS NULL OR try_again_at <= %(now)s) AND state <> 'retired'
  AND (segment_id = %(segment)s OR id = ANY (%(meters)b::int[]))
ORDER BY id
