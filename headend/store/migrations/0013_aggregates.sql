-- Energy by hour and by day, and what the upkeep of the tables needs. What only TimescaleDB has, or only its Community
-- edition, stands in functions that are called where it is there: the licence may change while the tables stay.

CREATE TABLE upkeep (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    readings_since timestamptz NOT NULL DEFAULT '-infinity',
    pruned_on      date NOT NULL DEFAULT '-infinity',
    energy_zone    text
);
COMMENT ON TABLE upkeep IS 'One row: how far the upkeep of the tables is.';
COMMENT ON COLUMN upkeep.readings_since IS 'Readings before may have been dropped: a midnight of the utility. The ledger counts no day before.';
COMMENT ON COLUMN upkeep.pruned_on IS 'The utility''s day on which what is old was last dropped.';
COMMENT ON COLUMN upkeep.energy_zone IS 'The zone whose days the continuous aggregates have; NULL: there are none, the views compute.';
INSERT INTO upkeep DEFAULT VALUES;

CREATE FUNCTION hour_begun(at timestamptz, zone text) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- Hours count from a midnight of the zone, as slots do: in India they begin at half past in UTC.
    SELECT date_bin('1 hour', at, TIMESTAMP '2000-01-01' AT TIME ZONE zone)
$$;

-- Energy of each meter by the utility's day and by hour, for days from `first` to before `until`, summed from its
-- intervals: those that start in it. Only partitions or chunks of those days are read. covered_s: seconds that they cover.

CREATE FUNCTION daily_energy(first date, until date)
RETURNS TABLE (
    meter text, serial text, division text, local_day date, starts_at timestamptz, intervals bigint, covered_s bigint,
    quality int, kwh_import numeric, kwh_export numeric, kvah_import numeric, kvah_export numeric,
    kvarh_q1 numeric, kvarh_q2 numeric, kvarh_q3 numeric, kvarh_q4 numeric
) LANGUAGE sql STABLE AS $$
    SELECT m.name, m.serial, m.division, local_day(r.ts, z.zone), day_start(local_day(r.ts, z.zone), z.zone),
           count(*), sum(r.interval_s), bit_or(r.quality), sum(r.wh_import) * 0.000001, sum(r.wh_export) * 0.000001,
           sum(r.vah_import) * 0.000001, sum(r.vah_export) * 0.000001, sum(r.varh_q1) * 0.000001,
           sum(r.varh_q2) * 0.000001, sum(r.varh_q3) * 0.000001, sum(r.varh_q4) * 0.000001
    FROM interval_reading r JOIN meter m ON m.id = r.meter_id CROSS JOIN utility z
    WHERE r.ts >= day_start(first, utility_zone()) AND r.ts < day_start(until, utility_zone())
    GROUP BY m.id, local_day(r.ts, z.zone), z.zone
$$;

CREATE FUNCTION hourly_energy(first date, until date)
RETURNS TABLE (
    meter text, serial text, division text, local_day date, starts_at timestamptz, intervals bigint, covered_s bigint,
    quality int, kwh_import numeric, kwh_export numeric, kvah_import numeric, kvah_export numeric,
    kvarh_q1 numeric, kvarh_q2 numeric, kvarh_q3 numeric, kvarh_q4 numeric
) LANGUAGE sql STABLE AS $$
    SELECT m.name, m.serial, m.division, local_day(r.ts, z.zone), hour_begun(r.ts, z.zone),
           count(*), sum(r.interval_s), bit_or(r.quality), sum(r.wh_import) * 0.000001, sum(r.wh_export) * 0.000001,
           sum(r.vah_import) * 0.000001, sum(r.vah_export) * 0.000001, sum(r.varh_q1) * 0.000001,
           sum(r.varh_q2) * 0.000001, sum(r.varh_q3) * 0.000001, sum(r.varh_q4) * 0.000001
    FROM interval_reading r JOIN meter m ON m.id = r.meter_id CROSS JOIN utility z
    WHERE r.ts >= day_start(first, utility_zone()) AND r.ts < day_start(until, utility_zone())
    GROUP BY m.id, local_day(r.ts, z.zone), hour_begun(r.ts, z.zone), z.zone
$$;

-- The same of all days, either way: by plain SQL, or from continuous aggregates.

CREATE FUNCTION energy_computed() RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    CREATE OR REPLACE VIEW daily_energy AS SELECT * FROM daily_energy('-infinity', 'infinity');
    CREATE OR REPLACE VIEW hourly_energy AS SELECT * FROM hourly_energy('-infinity', 'infinity');
    UPDATE upkeep SET energy_zone = NULL WHERE energy_zone IS NOT NULL;
END $body$;

SELECT energy_computed();
COMMENT ON VIEW daily_energy IS
    'Energy of a meter in a day of the utility''s zone: the sum of its intervals that start in it. covered_s: seconds that they cover.';
COMMENT ON VIEW hourly_energy IS
    'Energy of a meter in an hour: the sum of its intervals that start in it. covered_s: seconds that they cover.';

CREATE FUNCTION energy_query(bucket text, zone text) RETURNS text LANGUAGE sql STABLE AS $body$
    -- What a continuous aggregate by `hour` or `day` holds. Its zone has to be a literal. An hour never leaves its day.
    SELECT format($query$
        SELECT meter_id, %s AS starts_at, count(*) AS intervals, sum(interval_s) AS covered_s, bit_or(quality) AS quality,
               sum(wh_import) AS wh_import, sum(wh_export) AS wh_export,
               sum(vah_import) AS vah_import, sum(vah_export) AS vah_export,
               sum(varh_q1) AS varh_q1, sum(varh_q2) AS varh_q2, sum(varh_q3) AS varh_q3, sum(varh_q4) AS varh_q4
        FROM interval_reading
        GROUP BY 1, 2$query$,
        CASE bucket
            WHEN 'hour' THEN format('time_bucket(INTERVAL ''1 hour'', ts, origin => %L::timestamptz)',
                                    TIMESTAMP '2000-01-01' AT TIME ZONE zone)
            WHEN 'day' THEN format('time_bucket(INTERVAL ''1 day'', ts, %L)', zone)
        END)
$body$;

CREATE FUNCTION energy_continuous(zone text) RETURNS void LANGUAGE plpgsql AS $body$
-- Community edition alone. They show what is newer than their last refresh as well; what came later for hours that they
-- hold already is in them from the next refresh on.
BEGIN
    PERFORM energy_computed();  -- so that nothing uses those of another zone
    EXECUTE 'DROP MATERIALIZED VIEW IF EXISTS energy_hour';
    EXECUTE 'DROP MATERIALIZED VIEW IF EXISTS energy_day';
    EXECUTE 'CREATE MATERIALIZED VIEW energy_hour WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS '
        || energy_query('hour', zone) || ' WITH NO DATA';
    EXECUTE 'CREATE MATERIALIZED VIEW energy_day WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS '
        || energy_query('day', zone) || ' WITH NO DATA';

    CREATE OR REPLACE VIEW daily_energy AS
    SELECT m.name AS meter, m.serial, m.division, local_day(e.starts_at, z.zone) AS local_day, e.starts_at,
           e.intervals, e.covered_s, e.quality,
           e.wh_import * 0.000001 AS kwh_import, e.wh_export * 0.000001 AS kwh_export,
           e.vah_import * 0.000001 AS kvah_import, e.vah_export * 0.000001 AS kvah_export,
           e.varh_q1 * 0.000001 AS kvarh_q1, e.varh_q2 * 0.000001 AS kvarh_q2,
           e.varh_q3 * 0.000001 AS kvarh_q3, e.varh_q4 * 0.000001 AS kvarh_q4
    FROM energy_day e JOIN meter m ON m.id = e.meter_id CROSS JOIN utility z;

    CREATE OR REPLACE VIEW hourly_energy AS
    SELECT m.name AS meter, m.serial, m.division, local_day(e.starts_at, z.zone) AS local_day, e.starts_at,
           e.intervals, e.covered_s, e.quality,
           e.wh_import * 0.000001 AS kwh_import, e.wh_export * 0.000001 AS kwh_export,
           e.vah_import * 0.000001 AS kvah_import, e.vah_export * 0.000001 AS kvah_export,
           e.varh_q1 * 0.000001 AS kvarh_q1, e.varh_q2 * 0.000001 AS kvarh_q2,
           e.varh_q3 * 0.000001 AS kvarh_q3, e.varh_q4 * 0.000001 AS kvarh_q4
    FROM energy_hour e JOIN meter m ON m.id = e.meter_id CROSS JOIN utility z;

    UPDATE upkeep SET energy_zone = zone;
END $body$;

CREATE FUNCTION compress_intervals(before timestamptz) RETURNS SETOF regclass LANGUAGE plpgsql AS $body$
-- Community edition alone. Sees that interval tables can be compressed, and tells which of their chunks that end by
-- `before` are to be: those that are not yet, and those that got rows since.
DECLARE
    hypertable name;
BEGIN
    FOR hypertable IN SELECT hypertable_name FROM timescaledb_information.hypertables
                      WHERE hypertable_schema = current_schema AND NOT compression_enabled
                        AND hypertable_name IN ('interval_reading', 'interval_extra') LOOP
        EXECUTE format('ALTER TABLE %I SET (timescaledb.compress, timescaledb.compress_segmentby = ''meter_id'', timescaledb.compress_orderby = %L)',
                       hypertable, CASE hypertable WHEN 'interval_reading' THEN 'ts' ELSE 'ts, class_id, obis, attribute' END);
    END LOOP;
    RETURN QUERY
    SELECT format('%I.%I', c.chunk_schema, c.chunk_name)::regclass
    FROM timescaledb_information.chunks c
    JOIN _timescaledb_catalog.chunk k ON k.schema_name = c.chunk_schema AND k.table_name = c.chunk_name
    WHERE c.hypertable_schema = current_schema AND c.hypertable_name IN ('interval_reading', 'interval_extra')
      AND c.range_end <= before
      AND (NOT c.is_compressed OR k.status & 10 <> 0)  -- 2: not in order, 8: with rows beside the compressed ones
    ORDER BY c.range_start;
END $body$;

CREATE FUNCTION drop_before(relation regclass, moment timestamptz) RETURNS void LANGUAGE plpgsql
SET lock_timeout = '5s' AS $body$
-- Drops the chunks or partitions of a table whose time ends by `moment`. Who waits for a table keeps everyone behind him
-- waiting: better later than long.
DECLARE
    child regclass;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = relation) <> 'p' THEN
        PERFORM drop_chunks(relation, older_than => moment);
        RETURN;
    END IF;
    FOR child IN
        SELECT i.inhrelid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = relation
          AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz <= moment
    LOOP
        EXECUTE format('DROP TABLE %s', child);
    END LOOP;
END $body$;
