-- How often a meter let us not in, one visit after the other: in the end it is left alone.

ALTER TABLE meter ADD refusals int NOT NULL DEFAULT 0;
COMMENT ON COLUMN meter.refusals IS 'Visits since it last answered in which it refused our keys or its own proof of them was wrong, with counters learnt anew.';
