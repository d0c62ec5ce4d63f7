-- Which meters of a batch have a row in their own time range of it, the slot after that included. The first look, over
-- the whole batch's range, is the cheaper one and settles nearly all. LIMIT keeps the planner at one look into the
-- index for each meter, whatever it believes about sizes.
SELECT b.meter_id
FROM unnest(%(meters)b::int[], %(first)b::timestamptz[], %(last)b::timestamptz[]) AS b (meter_id, first, last)
CROSS JOIN LATERAL (
    SELECT FROM interval_reading r
    WHERE r.meter_id = b.meter_id AND r.ts BETWEEN %(earliest)s AND %(latest)s
    LIMIT 1
) in_batch
CROSS JOIN LATERAL (
    SELECT FROM interval_reading r
    WHERE r.meter_id = b.meter_id AND r.ts BETWEEN b.first AND b.last
    LIMIT 1
) in_range
