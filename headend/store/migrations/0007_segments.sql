-- Segments: meters behind one gateway or cell, which are collected by one job; and when each is due for what.

CREATE TABLE segment (
    id           int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    down_since   timestamptz,
    down_reason  text,
    try_again_at timestamptz,
    failures     int NOT NULL DEFAULT 0,
    CHECK ((down_since IS NULL) = (try_again_at IS NULL))
) WITH (fillfactor = 50);
COMMENT ON TABLE segment IS 'Meters that are collected together: behind one gateway or cell, of one transformer, or a bucket of at most 300.';
COMMENT ON COLUMN segment.down_since IS 'Since when nothing behind it answers: one meter alone is tried at try_again_at.';

ALTER TABLE meter
    ADD segment_id   int REFERENCES segment,
    ADD maker        text NOT NULL DEFAULT '',
    ADD model        text NOT NULL DEFAULT '',
    ADD firmware     text NOT NULL DEFAULT '',
    ADD identified_at timestamptz;
COMMENT ON COLUMN meter.identified_at IS 'When maker, model and firmware were last read from its nameplate; NULL: never.';

INSERT INTO segment (name) SELECT DISTINCT 'bucket ' || id / 300 FROM meter;
UPDATE meter m SET segment_id = s.id FROM segment s WHERE s.name = 'bucket ' || m.id / 300;
CREATE INDEX meter_segment ON meter (segment_id);

CREATE TABLE schedule (
    segment_id int NOT NULL REFERENCES segment,
    task       text NOT NULL,
    due_at     timestamptz NOT NULL,
    PRIMARY KEY (segment_id, task)
) WITH (fillfactor = 50);
COMMENT ON TABLE schedule IS
    'When a segment is next due for a task (block_load, daily_load, billing, events, instantaneous, nameplate, clock). No row: now.';
CREATE INDEX schedule_due ON schedule (due_at);
