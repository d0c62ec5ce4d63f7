INSERT INTO interval_extra (meter_id, ts, class_id, obis, attribute, value, unit, raw, read_at)
SELECT DISTINCT ON (meter_id, ts, class_id, obis, attribute)
    meter_id, ts, class_id, obis, attribute, value, unit, raw, read_at
FROM unnest(%(meter_id)s::int[], %(ts)s::timestamptz[], %(class_id)s::int[], %(obis)s::text[], %(attribute)s::smallint[],
            %(value)s::numeric[], %(unit)s::smallint[], %(raw)s::bytea[], %(read_at)s::timestamptz[])
    AS e (meter_id, ts, class_id, obis, attribute, value, unit, raw, read_at)
ORDER BY meter_id, ts, class_id, obis, attribute, read_at DESC
ON CONFLICT (meter_id, ts, class_id, obis, attribute) DO UPDATE
SET value = EXCLUDED.value, unit = EXCLUDED.unit, raw = EXCLUDED.raw, read_at = EXCLUDED.read_at
WHERE interval_extra.read_at < EXCLUDED.read_at
  AND (interval_extra.value, interval_extra.unit, interval_extra.raw)
      IS DISTINCT FROM (EXCLUDED.value, EXCLUDED.unit, EXCLUDED.raw)
