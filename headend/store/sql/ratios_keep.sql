-- Ratios that meters said: a row where they differ from the newest of the meter; what is older than that says nothing.
WITH said AS (
    SELECT DISTINCT ON (meter_id) meter_id, since, ct, pt, secondary
    FROM unnest(%(meters)b::int[], %(since)b::timestamptz[], %(ct)b::numeric[], %(pt)b::numeric[],
                %(secondary)b::boolean[]) AS s (meter_id, since, ct, pt, secondary)
    ORDER BY meter_id, since DESC
), newest AS (
    SELECT DISTINCT ON (r.meter_id) r.meter_id, r.since, r.ct, r.pt
    FROM meter_ratio r JOIN said s ON s.meter_id = r.meter_id
    ORDER BY r.meter_id, r.since DESC
), sides AS (
    UPDATE meter_ratio r SET secondary = s.secondary
    FROM said s JOIN newest n ON n.meter_id = s.meter_id
    WHERE r.meter_id = s.meter_id AND s.since >= n.since AND r.secondary <> s.secondary
)
INSERT INTO meter_ratio (meter_id, since, ct, pt, secondary)
SELECT s.meter_id, s.since, s.ct, s.pt, s.secondary
FROM said s LEFT JOIN newest n ON n.meter_id = s.meter_id
WHERE n.meter_id IS NULL OR (s.since > n.since AND (s.ct, s.pt) IS DISTINCT FROM (n.ct, n.pt))
