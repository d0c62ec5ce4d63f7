-- Block load on plain PostgreSQL: native partitions of one week, made ahead of the rows by ensure_partitions.

CREATE TABLE interval_reading (LIKE reading_revision, PRIMARY KEY (meter_id, ts)) PARTITION BY RANGE (ts);
CREATE INDEX interval_reading_ts ON interval_reading USING brin (ts) WITH (pages_per_range = 32);

CREATE TABLE interval_extra (
    meter_id  int NOT NULL,
    unit      smallint,
    class_id  int NOT NULL,
    attribute smallint NOT NULL,
    ts        timestamptz NOT NULL,
    read_at   timestamptz NOT NULL,
    obis      text NOT NULL,
    value     numeric,
    raw       bytea NOT NULL,
    PRIMARY KEY (meter_id, ts, class_id, obis, attribute)
) PARTITION BY RANGE (ts);
COMMENT ON TABLE interval_extra IS 'What no column of interval_reading holds: unknown objects, and values too fine or too large for one.';

CREATE FUNCTION ensure_partitions(first timestamptz, last timestamptz) RETURNS void LANGUAGE plpgsql AS $$
-- Every week from that of `first` to that of `last`, Mondays 00:00 UTC. LIKE and ATTACH rather than PARTITION OF: that
-- one would wait for every writer and stop all others meanwhile.
DECLARE
    parent text;
    week   timestamptz;
    child  text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('headend.ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['interval_reading', 'interval_extra'] LOOP
        FOR week IN SELECT generate_series(date_bin('7 days', first, '2000-01-03 00:00Z'), last, '7 days') LOOP
            child := parent || to_char(week AT TIME ZONE 'UTC', '_YYYYMMDD');
            CONTINUE WHEN to_regclass(quote_ident(child)) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           parent, child, week, week + INTERVAL '7 days');
        END LOOP;
    END LOOP;
END $$;
