-- What meters said of themselves, where that is later than what is known; what they did not say stays.
UPDATE meter m
SET maker = coalesce(nullif(n.maker, ''), m.maker), model = coalesce(nullif(n.model, ''), m.model),
    firmware = coalesce(nullif(n.firmware, ''), m.firmware), identified_at = n.at
FROM (
    SELECT DISTINCT ON (meter_id) meter_id, maker, model, firmware, at
    FROM unnest(%(meters)b::int[], %(maker)b::text[], %(model)b::text[], %(firmware)b::text[], %(at)b::timestamptz[])
        AS n (meter_id, maker, model, firmware, at)
    ORDER BY meter_id, at DESC
) n
WHERE m.id = n.meter_id AND n.at > coalesce(m.identified_at, '-infinity')
