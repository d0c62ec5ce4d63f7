INSERT INTO interval_extra (meter_id, ts, class_id, obis, attribute, value, unit, raw, read_at)
SELECT DISTINCT ON (meter_id, ts, class_id, obis, attribute)
    meter_id, ts, class_id, obis, attribute, value, unit, raw, read_at
FROM unnest(%(meter_id)b::int[], %(ts)b::timestamptz[], %(class_id)b::int[], %(obis)b::text[], %(attribute)b::smallint[],
            %(value)b::numeric[], %(unit)b::smallint[], %(raw)b::bytea[], %(read_at)b::timestamptz[])
    AS e (meter_id, ts, class_id, obis, attribute, value, unit, raw, read_at)
ORDER BY meter_id, ts, class_id, obis, attribute, read_at DESC
ON CONFLICT (meter_id, ts, class_id, obis, attribute) DO UPDATE
SET value = EXCLUDED.value, unit = EXCLUDED.unit, raw = EXCLUDED.raw, read_at = EXCLUDED.read_at
WHERE interval_extra.read_at < EXCLUDED.read_at
  AND (interval_extra.value, interval_extra.unit, interval_extra.raw)
      IS DISTINCT FROM (EXCLUDED.value, EXCLUDED.unit, EXCLUDED.raw)
