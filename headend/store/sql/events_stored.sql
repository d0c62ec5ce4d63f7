-- Events that are stored of these meters, moments and codes.
SELECT e.meter_id, e.occurred_at, e.code, e.nth, e.sequence
FROM unnest(%(meters)b::int[], %(occurred_at)b::timestamptz[], %(code)b::int[]) AS k (meter_id, occurred_at, code)
JOIN meter_event e ON e.meter_id = k.meter_id AND e.occurred_at = k.occurred_at AND e.code = k.code
WHERE e.occurred_at BETWEEN %(earliest)s AND %(latest)s
