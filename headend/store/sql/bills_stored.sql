-- The latest bill of each of these meters that has one.
SELECT m.id, latest.ts
FROM unnest(%(meters)b::int[]) AS m (id)
CROSS JOIN LATERAL (
    SELECT ts FROM profile_reading r WHERE r.meter_id = m.id AND r.profile = 'billing' ORDER BY ts DESC LIMIT 1
) latest
