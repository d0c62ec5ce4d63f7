-- Which meters of a batch have a row in its time range, the slot after it included.
SELECT b.meter_id
FROM unnest(%(meters)b::int[], %(first)b::timestamptz[], %(last)b::timestamptz[]) AS b (meter_id, first, last)
WHERE EXISTS (
    SELECT FROM interval_reading r
    WHERE r.meter_id = b.meter_id AND r.ts BETWEEN b.first AND b.last
      AND r.ts BETWEEN %(earliest)s AND %(latest)s
)
