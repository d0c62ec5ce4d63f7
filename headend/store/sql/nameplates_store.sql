UPDATE meter m SET maker = s.maker, model = s.model, firmware = s.firmware, identified_at = s.at
FROM unnest(%(meter_id)b::int[], %(maker)b::text[], %(model)b::text[], %(firmware)b::text[], %(at)b::timestamptz[])
    AS s (meter_id, maker, model, firmware, at)
WHERE m.id = s.meter_id AND coalesce(m.identified_at, '-infinity') <= s.at
