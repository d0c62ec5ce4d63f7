-- Locks the meters of a batch, in order, and makes the watermarks that are missing. The lock keeps another writer of
-- the same meters out until this transaction ends, so what is asked next about stored rows stays true.
WITH made AS (
    INSERT INTO watermark (meter_id, profile, settled)
    SELECT m.id, %(profile)s, next_unstored(m.id, slot_from(m.commissioned_at, m.interval_s))
    FROM meter m
    WHERE m.id = ANY (%(meters)b::int[])
      AND NOT EXISTS (SELECT FROM watermark w WHERE w.meter_id = m.id AND w.profile = %(profile)s)
    ORDER BY m.id
    ON CONFLICT DO NOTHING
    RETURNING meter_id
), locked AS (
    SELECT meter_id FROM watermark
    WHERE meter_id = ANY (%(meters)b::int[]) AND profile = %(profile)s
    ORDER BY meter_id
    FOR UPDATE
)
SELECT meter_id FROM made UNION SELECT meter_id FROM locked
