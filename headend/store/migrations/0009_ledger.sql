-- The ledger: what is proven never to come, how complete each day of each meter is, and how both are counted.
-- What is stored always wins: an absence counts only where no row is.

CREATE TABLE absence (
    meter_id   int NOT NULL REFERENCES meter,
    profile    text NOT NULL,
    starts     timestamptz NOT NULL,
    ends       timestamptz NOT NULL,
    reason     text NOT NULL CHECK (reason IN ('not_recorded', 'expired')),
    first_seen timestamptz NOT NULL,
    proven_at  timestamptz,
    PRIMARY KEY (meter_id, profile, starts),
    CHECK (starts < ends),
    CHECK (reason <> 'expired' OR proven_at IS NOT NULL)
);
COMMENT ON TABLE absence IS
    'Slots that a meter does not have (not_recorded), or no longer holds and never gave (expired: lost).';
COMMENT ON COLUMN absence.proven_at IS 'Since when they are not asked for; NULL: seen missing by one read, which is no proof yet.';

CREATE TABLE period_before (
    meter_id   int NOT NULL REFERENCES meter,
    until      timestamptz NOT NULL,
    interval_s int NOT NULL,
    PRIMARY KEY (meter_id, until)
);
COMMENT ON TABLE period_before IS 'Periods of the block load profile that meters had once: this one before `until`. The present one is meter.interval_s.';

CREATE TABLE meter_day (
    meter_id      int NOT NULL,
    day           date NOT NULL,
    counted_until timestamptz NOT NULL,
    complete_at   timestamptz,
    interval_s    int,
    due           smallint NOT NULL,
    stored        smallint NOT NULL,
    absent        smallint NOT NULL,
    expired       smallint NOT NULL,
    within_8h     smallint NOT NULL,
    within_24h    smallint NOT NULL,
    profile       text NOT NULL,
    PRIMARY KEY (meter_id, profile, day),
    CHECK (stored + absent + expired <= due)
) WITH (fillfactor = 70);
COMMENT ON TABLE meter_day IS
    'How complete a day (in the utility''s zone) of a meter is: a cache that `headend gaps --verify` counts again from rows and absences. No row: nothing came yet.';
COMMENT ON COLUMN meter_day.counted_until IS 'Slots that end by then are counted; after it nothing is stored.';
COMMENT ON COLUMN meter_day.interval_s IS 'The period of all slots of the day; NULL: they differ, or do not stand on the grid.';
COMMENT ON COLUMN meter_day.within_8h IS 'Slots whose present row was read at most 8 hours after their end.';
CREATE INDEX meter_day_day ON meter_day USING brin (day) WITH (pages_per_range = 32);

-- Days and slots. They take the zone as an argument so that they fold into the statement that calls them.

CREATE FUNCTION day_start(day date, zone text) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT day::timestamp AT TIME ZONE zone
$$;

CREATE FUNCTION local_day(at timestamptz, zone text) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (at AT TIME ZONE zone)::date
$$;

CREATE FUNCTION slot_begun(of_profile text, at timestamptz, interval_s int, zone text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The start of the slot that `at` lies in: what is due ends there. Days of a daily profile are its slots.
    SELECT CASE of_profile
        WHEN 'daily_load' THEN (at AT TIME ZONE zone)::date::timestamp AT TIME ZONE zone
        ELSE date_bin(make_interval(secs => interval_s), at, TIMESTAMP '2000-01-01' AT TIME ZONE zone)
    END
$$;

CREATE FUNCTION slot_after(of_profile text, at timestamptz, slots int, interval_s int, zone text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- So many slots later (or earlier, below 0). A day in a zone with summer time has 23 to 25 hours.
    SELECT CASE of_profile
        WHEN 'daily_load' THEN ((at AT TIME ZONE zone) + make_interval(days => slots)) AT TIME ZONE zone
        ELSE at + slots * make_interval(secs => interval_s)
    END
$$;

CREATE FUNCTION first_slot(of_profile text, at timestamptz, interval_s int, zone text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The first slot that starts at `at` or later: what is due begins there.
    SELECT CASE of_profile
        WHEN 'daily_load' THEN ((at AT TIME ZONE zone) + INTERVAL '1 day' - INTERVAL '1 microsecond')::date::timestamp
                               AT TIME ZONE zone
        ELSE date_bin(make_interval(secs => interval_s),
                      at + make_interval(secs => interval_s) - INTERVAL '1 microsecond',
                      TIMESTAMP '2000-01-01' AT TIME ZONE zone)
    END
$$;

CREATE FUNCTION day_after(at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    -- The end of the utility's day that `at` lies in.
    SELECT day_start(local_day(at, utility_zone()) + 1, utility_zone())
$$;

CREATE VIEW stored_slot AS
SELECT meter_id, 'block_load' AS profile, ts AS starts, ts + make_interval(secs => interval_s) AS ends, interval_s, read_at
FROM interval_reading
UNION ALL
SELECT meter_id, 'daily_load', ts, day_after(ts), 86400, read_at
FROM profile_reading WHERE profile = 'daily_load';
COMMENT ON VIEW stored_slot IS 'What is stored, as the ledger sees it.';

CREATE FUNCTION next_owed(meter int, of_profile text, slot timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    -- The first moment from `slot` on that neither a stored row nor a proven absence covers.
    WITH RECURSIVE run (at) AS (
        SELECT slot
        UNION ALL
        SELECT step.ends
        FROM run CROSS JOIN LATERAL (
            SELECT s.ends FROM stored_slot s WHERE s.meter_id = meter AND s.profile = of_profile AND s.starts = run.at
            UNION ALL
            SELECT a.ends FROM absence a
            WHERE a.meter_id = meter AND a.profile = of_profile AND a.proven_at IS NOT NULL
              AND a.starts <= run.at AND a.ends > run.at
            LIMIT 1
        ) step
    )
    SELECT max(at) FROM run
$$;

CREATE FUNCTION slots_in(meter int, of_profile text, spans tstzmultirange) RETURNS smallint LANGUAGE sql STABLE AS $$
    -- How many slots the spans of one day make, by the periods that the meter had; a part of a slot counts as one.
    WITH period AS (
        SELECT tstzrange(lag(until) OVER (ORDER BY until), until) AS during, interval_s
        FROM (
            SELECT until, interval_s FROM period_before WHERE meter_id = meter AND of_profile = 'block_load'
            UNION ALL
            SELECT 'infinity', CASE of_profile WHEN 'daily_load' THEN 90000 ELSE m.interval_s END
            FROM meter m WHERE m.id = meter
        ) dated
    )
    SELECT coalesce(sum(ceil(extract(epoch FROM upper(part) - lower(part)) / interval_s)), 0)::smallint
    FROM period CROSS JOIN unnest(spans * tstzmultirange(during)) AS part
$$;

CREATE TYPE counted_day AS (
    meter_id int, day date, counted_until timestamptz, day_ends timestamptz, first_owed timestamptz, interval_s int,
    due smallint, stored smallint, absent smallint, expired smallint, within_8h smallint, within_24h smallint
);

CREATE FUNCTION count_days(of_profile text, meters int[], days date[], until timestamptz[]) RETURNS SETOF counted_day
LANGUAGE sql STABLE AS $$
    -- Counts days of meters from rows and absences: every slot that ends by `until`, or by the end of the last row. What
    -- is due is the slots stored and those of the gaps between, so that an odd row never makes a day owe what it holds.
    -- Days before commissioning are left out.
    WITH asked AS MATERIALIZED (
        SELECT a.meter_id, a.day, a.until, m.interval_s, make_interval(secs => m.interval_s) AS step,
               day_start(a.day + 1, z.zone) AS day_ends,
               greatest(day_start(a.day, z.zone), first_slot(of_profile, m.commissioned_at, m.interval_s, z.zone)) AS begins
        FROM unnest(meters, days, until) AS a (meter_id, day, until) JOIN meter m ON m.id = a.meter_id CROSS JOIN utility z
    ), held AS (
        SELECT a.meter_id, a.day, a.until, a.interval_s, a.begins, a.day_ends, s.*
        FROM asked a CROSS JOIN LATERAL (
            SELECT count(*)::smallint AS stored,
                   (count(*) FILTER (WHERE s.read_at <= s.ends + INTERVAL '8 hours'))::smallint AS within_8h,
                   (count(*) FILTER (WHERE s.read_at <= s.ends + INTERVAL '24 hours'))::smallint AS within_24h,
                   range_agg(tstzrange(s.starts, s.ends)) AS rows,
                   max(s.ends) AS last_end,
                   coalesce(bool_and(s.interval_s = a.interval_s AND date_bin(a.step, s.starts, a.begins) = s.starts),
                            true) AS even
            FROM (
                SELECT s.starts, s.ends, s.interval_s, s.read_at
                FROM stored_slot s
                WHERE s.meter_id = a.meter_id AND s.profile = of_profile
                  AND s.starts >= a.begins AND s.starts < a.day_ends
                OFFSET 0  -- so that `ends` is computed once a row
            ) s
        ) s
        WHERE a.begins < a.day_ends
    ), gap AS (
        SELECT h.*, least(h.day_ends, greatest(h.until, h.last_end, h.begins)) AS counted_until,
               tstzmultirange(tstzrange(h.begins, least(h.day_ends, greatest(h.until, h.last_end, h.begins))))
               - coalesce(h.rows, '{}') AS gaps
        FROM held h
    ), judged AS (
        SELECT g.*, g.gaps * coalesce(b.not_recorded, '{}') AS absent,
               g.gaps * coalesce(b.expired, '{}') - coalesce(b.not_recorded, '{}') AS expired
        FROM gap g CROSS JOIN LATERAL (
            SELECT range_agg(tstzrange(b.starts, b.ends)) FILTER (WHERE b.reason = 'not_recorded') AS not_recorded,
                   range_agg(tstzrange(b.starts, b.ends)) FILTER (WHERE b.reason = 'expired') AS expired
            FROM absence b
            WHERE NOT isempty(g.gaps) AND b.meter_id = g.meter_id AND b.profile = of_profile AND b.proven_at IS NOT NULL
              AND b.starts < g.day_ends AND b.ends > g.begins
        ) b
    ), summed AS (
        SELECT j.*,
               CASE WHEN isempty(absent) THEN 0 ELSE slots_in(meter_id, of_profile, absent) END AS absent_slots,
               CASE WHEN isempty(expired) THEN 0 ELSE slots_in(meter_id, of_profile, expired) END AS expired_slots,
               CASE WHEN isempty(gaps) THEN 0 ELSE slots_in(meter_id, of_profile, gaps - absent - expired) END AS owed
        FROM judged j
    )
    SELECT meter_id, day, counted_until, day_ends, lower(gaps - absent - expired),
           CASE WHEN even AND NOT EXISTS (SELECT FROM period_before p
                                          WHERE p.meter_id = summed.meter_id AND p.until > summed.begins)
                THEN interval_s END,
           (stored + absent_slots + expired_slots + owed)::smallint, stored, absent_slots::smallint,
           expired_slots::smallint, within_8h, within_24h
    FROM summed
$$;

CREATE FUNCTION recount_days(of_profile text, meters int[], days date[], until timestamptz[], at timestamptz)
RETURNS TABLE (meter_id int, first_owed timestamptz) LANGUAGE sql AS $$
    -- Counts days again and keeps them; answers with the first moment that each meter owes in them. A day that is
    -- complete was so since it was first found to be, which is `at`.
    WITH counted AS MATERIALIZED (
        SELECT c.* FROM count_days(of_profile, meters, days, until) c
    ), kept AS (
        INSERT INTO meter_day AS d (meter_id, profile, day, counted_until, complete_at, interval_s, due, stored, absent,
                                    expired, within_8h, within_24h)
        SELECT c.meter_id, of_profile, c.day, c.counted_until,
               CASE WHEN c.first_owed IS NULL AND c.counted_until = c.day_ends THEN coalesce(at, c.counted_until) END,
               c.interval_s, c.due, c.stored, c.absent, c.expired, c.within_8h, c.within_24h
        FROM counted c
        ON CONFLICT ON CONSTRAINT meter_day_pkey DO UPDATE
        SET counted_until = EXCLUDED.counted_until, interval_s = EXCLUDED.interval_s, due = EXCLUDED.due,
            stored = EXCLUDED.stored, absent = EXCLUDED.absent, expired = EXCLUDED.expired,
            within_8h = EXCLUDED.within_8h, within_24h = EXCLUDED.within_24h,
            complete_at = CASE WHEN EXCLUDED.complete_at IS NOT NULL
                               THEN coalesce(d.complete_at, EXCLUDED.complete_at) END
    )
    SELECT c.meter_id, min(c.first_owed) FROM counted c GROUP BY c.meter_id
$$;

CREATE FUNCTION recount_meters(meters int[]) RETURNS void LANGUAGE plpgsql AS $$
-- Counts all days of meters anew, as far as something is known of them: after a change of what is due.
DECLARE
    of_profile text;
    task       record;
BEGIN
    FOREACH of_profile IN ARRAY ARRAY['block_load', 'daily_load'] LOOP
        WITH known AS (
            SELECT s.meter_id, local_day(s.starts, z.zone) AS day
            FROM stored_slot s CROSS JOIN utility z
            WHERE s.meter_id = ANY (meters) AND s.profile = of_profile
            UNION
            SELECT a.meter_id, d::date
            FROM absence a CROSS JOIN utility z
            CROSS JOIN generate_series(local_day(a.starts, z.zone)::timestamp,
                                       local_day(a.ends - INTERVAL '1 microsecond', z.zone), '1 day') AS d
            WHERE a.meter_id = ANY (meters) AND a.profile = of_profile AND a.proven_at IS NOT NULL
        ), counted AS (
            SELECT d.meter_id, d.day, slot_begun(of_profile, d.counted_until, m.interval_s, z.zone) AS until
            FROM meter_day d JOIN meter m ON m.id = d.meter_id CROSS JOIN utility z
            WHERE d.meter_id = ANY (meters) AND d.profile = of_profile
        )
        SELECT array_agg(meter_id) AS meters, array_agg(day) AS days, array_agg(coalesce(until, '-infinity')) AS until
        INTO task
        FROM known FULL JOIN counted USING (meter_id, day);
        DELETE FROM meter_day d WHERE d.meter_id = ANY (meters) AND d.profile = of_profile;
        PERFORM recount_days(of_profile, task.meters, task.days, task.until, NULL);
    END LOOP;
END $$;

CREATE FUNCTION recount_in_new_zone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM recount_meters(array_agg(id)) FROM meter HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER utility_zone AFTER UPDATE OF zone ON utility FOR EACH ROW WHEN (OLD.zone <> NEW.zone)
EXECUTE FUNCTION recount_in_new_zone();

CREATE FUNCTION recount_from_commissioning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM recount_meters(ARRAY[NEW.id]);
    RETURN NULL;
END $$;
CREATE TRIGGER meter_commissioned AFTER UPDATE OF commissioned_at ON meter FOR EACH ROW
WHEN (OLD.commissioned_at <> NEW.commissioned_at) EXECUTE FUNCTION recount_from_commissioning();

-- meter.retired_at, from when on a meter owes nothing, comes with the next migration.
SET LOCAL check_function_bodies = off;

CREATE FUNCTION ledger_day(of_profile text, of_day date, at timestamptz)
RETURNS TABLE (meter_id int, meter text, division text, due bigint, stored int, absent int, expired int, within_8h int, within_24h int)
LANGUAGE sql STABLE AS $$
    -- How complete a day of every meter was at `at`. After counted_until nothing is stored, so that what came due since
    -- then is plain arithmetic; a meter from which nothing came has no row in meter_day, and owes all of it.
    SELECT m.id, m.name, m.division,
           coalesce(d.due, 0) + greatest(0, CASE of_profile
               WHEN 'daily_load' THEN (b.until = b.ends AND b.until > b.since)::int
               ELSE extract(epoch FROM b.until - b.since)::bigint / m.interval_s END),
           coalesce(d.stored, 0), coalesce(d.absent, 0), coalesce(d.expired, 0), coalesce(d.within_8h, 0),
           coalesce(d.within_24h, 0)
    FROM meter m
    CROSS JOIN utility z
    LEFT JOIN meter_day d ON d.meter_id = m.id AND d.profile = of_profile AND d.day = of_day
    CROSS JOIN LATERAL (
        SELECT day_start(of_day + 1, z.zone) AS ends,
               coalesce(d.counted_until, greatest(day_start(of_day, z.zone),
                                                  first_slot(of_profile, m.commissioned_at, m.interval_s, z.zone))) AS since,
               least(day_start(of_day + 1, z.zone),
                     slot_begun(of_profile, least(at, m.retired_at), m.interval_s, z.zone)) AS until
    ) b
    WHERE of_profile = 'block_load' OR EXISTS (SELECT FROM watermark w WHERE w.meter_id = m.id AND w.profile = of_profile)
$$;

CREATE FUNCTION owed_spans(of_profile text, at timestamptz)
RETURNS TABLE (meter_id int, meter text, division text, starts_at timestamptz, ends_at timestamptz)
LANGUAGE sql STABLE AS $$
    -- What is owed of a profile at a moment: spans of time without row or proven absence, from what is settled on.
    SELECT a.id, a.name, a.division, lower(gap), upper(gap)
    FROM (
        SELECT m.id, m.name, m.division,
               coalesce(w.settled, first_slot(of_profile, m.commissioned_at, m.interval_s, z.zone)) AS first,
               slot_begun(of_profile, least(at, m.retired_at), m.interval_s, z.zone) AS until
        FROM meter m CROSS JOIN utility z LEFT JOIN watermark w ON w.meter_id = m.id AND w.profile = of_profile
        WHERE w.meter_id IS NOT NULL OR of_profile = 'block_load'
    ) a
    CROSS JOIN LATERAL unnest(
        tstzmultirange(tstzrange(a.first, a.until))
        - coalesce((SELECT range_agg(tstzrange(s.starts, s.ends)) FROM stored_slot s
                    WHERE s.meter_id = a.id AND s.profile = of_profile
                      AND s.starts > a.first - INTERVAL '1 hour' AND s.starts < a.until), '{}')
        - coalesce((SELECT range_agg(tstzrange(b.starts, b.ends)) FROM absence b
                    WHERE b.meter_id = a.id AND b.profile = of_profile AND b.proven_at IS NOT NULL), '{}')) AS gap
    WHERE a.first < a.until
$$;

CREATE FUNCTION owed_interval(at timestamptz)
RETURNS TABLE (meter text, division text, starts_at timestamptz, ends_at timestamptz) LANGUAGE sql STABLE AS $$
    -- What of the block load is owed at a moment, gap by gap.
    SELECT meter, division, starts_at, ends_at FROM owed_spans('block_load', at)
$$;

CREATE VIEW sla_day AS
SELECT d.profile, d.day, l.division, count(*) AS meters, sum(l.due)::bigint AS due, sum(l.stored) AS stored,
       sum(l.absent) AS absent, sum(l.expired) AS expired,
       round(100.0 * sum(l.within_8h) / nullif(sum(l.due), 0), 2) AS percent_within_8h,
       round(100.0 * sum(l.within_24h) / nullif(sum(l.due), 0), 2) AS percent_within_24h
FROM (SELECT profile, day, max(counted_until) AS until FROM meter_day GROUP BY profile, day) d
CROSS JOIN LATERAL ledger_day(d.profile, d.day, d.until) l
WHERE l.due > 0
GROUP BY d.profile, d.day, l.division;
COMMENT ON VIEW sla_day IS
    'Service level of a day by division: percent of due intervals whose reading came within 8 and 24 hours of their end. The present day: as far as anything was counted.';

-- What was stored before this table was.
SET LOCAL statement_timeout = 0;
SELECT recount_meters(array_agg(id)) FROM meter HAVING count(*) > 0;
DROP FUNCTION next_unstored;
