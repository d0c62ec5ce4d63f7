SELECT meter, coalesce('parked: ' || parked_reason, last_error) AS reason
FROM meter_status
WHERE parked_reason IS NOT NULL OR last_error_at > coalesce(last_contact, '-infinity')
ORDER BY parked_reason IS NULL, meter
LIMIT 100
