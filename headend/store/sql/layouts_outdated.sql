-- A meter with another firmware may lay its profiles out otherwise: what was read of them before is forgotten.
DELETE FROM meter_profile p
USING meter m, unnest(%(meters)b::int[], %(maker)b::text[], %(model)b::text[], %(firmware)b::text[], %(at)b::timestamptz[])
    AS n (meter_id, maker, model, firmware, at)
WHERE m.id = n.meter_id AND n.at > m.identified_at AND n.firmware <> '' AND m.firmware <> '' AND n.firmware <> m.firmware
  AND p.meter_id = m.id AND p.read_at < n.at
