-- Events of power, in the order in which they can be followed.
SELECT e.stored_by::text, e.id, e.meter_id
FROM meter_event e
JOIN unnest(%(makers)s::text[], %(codes)s::int[]) AS v (maker, code) ON v.maker = e.maker AND v.code = e.code
WHERE (e.stored_by, e.id) > (%(stored_by)s::text::xid8, %(id)s) AND e.occurred_at >= %(since)s
ORDER BY e.stored_by, e.id
LIMIT %(limit)s
