-- Power outages, correlated from the events of meters: when which place was without power, and which meters for how long.

CREATE TABLE outage (
    id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL DEFAULT 'meter' CHECK (kind IN ('meter', 'transformer', 'feeder')),
    division    text NOT NULL,
    feeder      text NOT NULL,
    transformer text NOT NULL,
    meter_id    int REFERENCES meter,
    first_seen  timestamptz NOT NULL,
    last_off    timestamptz NOT NULL,
    opened_at   timestamptz NOT NULL,
    restored_at timestamptz,
    closed_at   timestamptz,
    CHECK (closed_at IS NULL OR restored_at IS NOT NULL)
) WITH (fillfactor = 70);
COMMENT ON TABLE outage IS 'Times without power of a place: one meter, several of a transformer, several transformers of a feeder.';
COMMENT ON COLUMN outage.transformer IS 'Empty: that of the meter is not known, or the whole feeder is concerned.';
COMMENT ON COLUMN outage.meter_id IS 'Where the transformer of a single meter is not known: that meter.';
COMMENT ON COLUMN outage.first_seen IS 'When the first of its meters lost power.';
COMMENT ON COLUMN outage.last_off IS 'When the last of its meters lost power.';
COMMENT ON COLUMN outage.opened_at IS 'When we knew of it.';
COMMENT ON COLUMN outage.restored_at IS 'When the last of its meters had power again; NULL: it goes on.';
COMMENT ON COLUMN outage.closed_at IS 'When we knew that it was over; NULL: it goes on.';
CREATE INDEX outage_open ON outage (id) WHERE closed_at IS NULL;
CREATE INDEX outage_place ON outage (division, feeder, transformer, first_seen);
CREATE INDEX outage_single ON outage (meter_id, first_seen) WHERE meter_id IS NOT NULL;
CREATE INDEX outage_time ON outage (first_seen);

CREATE TABLE outage_meter (
    meter_id  int NOT NULL REFERENCES meter,
    outage_id int REFERENCES outage,
    off_at    timestamptz NOT NULL,
    on_at     timestamptz,
    evidence  int NOT NULL,
    PRIMARY KEY (meter_id, off_at),
    CHECK (on_at > off_at)
) WITH (fillfactor = 70);
COMMENT ON TABLE outage_meter IS 'Times without power of each meter; those of one meter do not overlap.';
COMMENT ON COLUMN outage_meter.outage_id IS 'NULL only inside the transaction that finds its outage.';
COMMENT ON COLUMN outage_meter.evidence IS
    'A sum: 1 last gasp, 2 power failed, 4 did not answer while others of its place were off; 16 power restored, 32 first breath, 64 answered, 128 presumed.';
CREATE INDEX outage_meter_outage ON outage_meter (outage_id);
CREATE INDEX outage_meter_off ON outage_meter (meter_id) WHERE on_at IS NULL;

CREATE TABLE outage_mark (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    followed xid8 NOT NULL
);
COMMENT ON TABLE outage_mark IS 'What transactions before this one stored of events (meter_event.stored_by) is correlated.';
INSERT INTO outage_mark (followed) VALUES ('0');

CREATE FUNCTION evidence_text(evidence int) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT concat_ws(', ',
        CASE WHEN evidence & 1 <> 0 THEN 'last gasp' END,
        CASE WHEN evidence & 2 <> 0 THEN 'power failed' END,
        CASE WHEN evidence & 4 <> 0 THEN 'did not answer' END,
        CASE WHEN evidence & 16 <> 0 THEN 'power restored' END,
        CASE WHEN evidence & 32 <> 0 THEN 'first breath' END,
        CASE WHEN evidence & 64 <> 0 THEN 'answered' END,
        CASE WHEN evidence & 128 <> 0 THEN 'presumed' END)
$$;

CREATE VIEW power_outage AS
SELECT
    o.id AS outage,
    o.kind,
    o.division,
    o.feeder,
    o.transformer,
    s.only_meter AS meter,
    o.first_seen AS began_at,
    o.first_seen AT TIME ZONE z.zone AS local_begin,
    o.restored_at,
    o.restored_at AT TIME ZONE z.zone AS local_end,
    o.opened_at,
    o.closed_at,
    o.closed_at IS NULL AS open,
    s.meters,
    s.still_off,
    round(extract(epoch FROM o.restored_at - o.first_seen) / 60, 1) AS minutes,
    s.meter_minutes
FROM outage o
CROSS JOIN utility z
CROSS JOIN LATERAL (
    SELECT count(DISTINCT r.meter_id) AS meters, count(*) FILTER (WHERE r.on_at IS NULL) AS still_off,
           round(sum(extract(epoch FROM r.on_at - r.off_at)) / 60, 1) AS meter_minutes,
           CASE WHEN count(DISTINCT r.meter_id) = 1 THEN min(m.name) END AS only_meter
    FROM outage_meter r JOIN meter m ON m.id = r.meter_id
    WHERE r.outage_id = o.id
) s;
COMMENT ON VIEW power_outage IS
    'Outages with the meters that they concerned. minutes: from the first meter off to the last one on again; meter_minutes: those of every meter added up, as far as it has power again.';

CREATE VIEW power_outage_meter AS
SELECT
    r.outage_id AS outage,
    m.name AS meter,
    m.serial,
    r.off_at,
    r.off_at AT TIME ZONE z.zone AS local_off,
    r.on_at,
    r.on_at AT TIME ZONE z.zone AS local_on,
    round(extract(epoch FROM r.on_at - r.off_at) / 60, 1) AS minutes,
    evidence_text(r.evidence) AS evidence
FROM outage_meter r
JOIN meter m ON m.id = r.meter_id
CROSS JOIN utility z;
COMMENT ON VIEW power_outage_meter IS 'When each meter of an outage lost power and had it again, and what said so.';
