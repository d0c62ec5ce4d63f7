-- Who was parked by a visit is tried again by itself: what a visit was told may have been forged.

ALTER TABLE meter ADD try_again_at timestamptz;
UPDATE meter SET try_again_at = parked_at + INTERVAL '1 day' WHERE parked_at IS NOT NULL AND refusals > 0;
COMMENT ON COLUMN meter.parked_at IS 'Since when the meter is left alone; NULL: it is read.';
COMMENT ON COLUMN meter.try_again_at IS 'When a parked meter is asked again by itself; NULL: a person parked it, and a person unparks it.';
COMMENT ON COLUMN meter.refusals IS 'Visits in a row in which it refused our keys, its proof of them was wrong, or it fell silent over them.';
