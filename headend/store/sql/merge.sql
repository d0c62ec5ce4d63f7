-- Merges interval_staging into interval_reading. Only value columns are compared: a reading with the same values is
-- left alone. NULL never replaces a value; where values differ, the reading with the later read_at wins, whichever
-- came first, and the other goes to reading_revision, once. A mixed row has the quality bits of both.
WITH pair AS MATERIALIZED (
    SELECT s.read_at > r.read_at AS newer, ROW (s.*)::interval_reading AS staged, ROW (r.*)::interval_reading AS stored
    FROM interval_staging s JOIN interval_reading r ON r.meter_id = s.meter_id AND r.ts = s.ts
    WHERE r.meter_id = ANY (%(meters)b::int[]) AND r.ts BETWEEN %(earliest)s AND %(latest)s
      AND reading_values(ROW (s.*)::interval_reading) IS DISTINCT FROM reading_values(ROW (r.*)::interval_reading)
), ordered AS (
    SELECT stored,
           CASE WHEN newer THEN staged ELSE stored END AS later,
           CASE WHEN newer THEN stored ELSE staged END AS earlier
    FROM pair
), judged AS MATERIALIZED (
    SELECT stored, later, earlier, v.conflict,
           (later).quality
           | CASE WHEN v.mixed THEN (earlier).quality ELSE (earlier).quality & %(corrected)s END
           | CASE WHEN v.conflict THEN %(corrected)s ELSE 0 END AS quality,
           v.merged IS DISTINCT FROM reading_values(stored) AS changed
    FROM ordered, LATERAL (
        SELECT bool_or(l <> e) IS TRUE AS conflict, bool_or(l IS NULL AND e IS NOT NULL) AS mixed,
               array_agg(coalesce(l, e) ORDER BY place) AS merged
        FROM unnest(reading_values(later), reading_values(earlier)) WITH ORDINALITY AS pairs (l, e, place)
    ) v
), revised AS (
    INSERT INTO reading_revision
    SELECT (earlier).* FROM judged
    WHERE conflict AND NOT EXISTS (
        SELECT FROM reading_revision v
        WHERE v.meter_id = (earlier).meter_id AND v.ts = (earlier).ts AND v.read_at = (earlier).read_at
          AND reading_values(ROW (v.*)::interval_reading) IS NOT DISTINCT FROM reading_values(earlier))
    RETURNING 1
), updated AS (
    UPDATE interval_reading r SET
        (
        interval_s, read_at, quality, source,
        voltage, voltage_l1, voltage_l2, voltage_l3, current, current_l1, current_l2, current_l3, neutral_current,
        wh_import, wh_export, vah_import, vah_export, varh_q1, varh_q2, varh_q3, varh_q4, w_import, w_instant,
        va_instant, power_factor, power_factor_l1, power_factor_l2, power_factor_l3, frequency, wh_import_register,
        wh_export_register, vah_import_register, vah_export_register, meter_health, signal_strength
        ) = (
        SELECT (j.later).interval_s, (j.later).read_at, j.quality, (j.later).source,
        coalesce((j.later).voltage, (j.earlier).voltage), coalesce((j.later).voltage_l1, (j.earlier).voltage_l1),
        coalesce((j.later).voltage_l2, (j.earlier).voltage_l2),
        coalesce((j.later).voltage_l3, (j.earlier).voltage_l3), coalesce((j.later).current, (j.earlier).current),
        coalesce((j.later).current_l1, (j.earlier).current_l1),
        coalesce((j.later).current_l2, (j.earlier).current_l2),
        coalesce((j.later).current_l3, (j.earlier).current_l3),
        coalesce((j.later).neutral_current, (j.earlier).neutral_current),
        coalesce((j.later).wh_import, (j.earlier).wh_import), coalesce((j.later).wh_export, (j.earlier).wh_export),
        coalesce((j.later).vah_import, (j.earlier).vah_import),
        coalesce((j.later).vah_export, (j.earlier).vah_export), coalesce((j.later).varh_q1, (j.earlier).varh_q1),
        coalesce((j.later).varh_q2, (j.earlier).varh_q2), coalesce((j.later).varh_q3, (j.earlier).varh_q3),
        coalesce((j.later).varh_q4, (j.earlier).varh_q4), coalesce((j.later).w_import, (j.earlier).w_import),
        coalesce((j.later).w_instant, (j.earlier).w_instant), coalesce((j.later).va_instant, (j.earlier).va_instant),
        coalesce((j.later).power_factor, (j.earlier).power_factor),
        coalesce((j.later).power_factor_l1, (j.earlier).power_factor_l1),
        coalesce((j.later).power_factor_l2, (j.earlier).power_factor_l2),
        coalesce((j.later).power_factor_l3, (j.earlier).power_factor_l3),
        coalesce((j.later).frequency, (j.earlier).frequency),
        coalesce((j.later).wh_import_register, (j.earlier).wh_import_register),
        coalesce((j.later).wh_export_register, (j.earlier).wh_export_register),
        coalesce((j.later).vah_import_register, (j.earlier).vah_import_register),
        coalesce((j.later).vah_export_register, (j.earlier).vah_export_register),
        coalesce((j.later).meter_health, (j.earlier).meter_health),
        coalesce((j.later).signal_strength, (j.earlier).signal_strength)
        )
    FROM judged j
    WHERE r.meter_id = (j.stored).meter_id AND r.ts = (j.stored).ts
      AND r.meter_id = ANY (%(meters)b::int[]) AND r.ts BETWEEN %(earliest)s AND %(latest)s
      AND (j.changed OR j.conflict AND (j.stored).quality & %(corrected)s = 0)
    RETURNING 1
), inserted AS (
    INSERT INTO interval_reading
    SELECT s.* FROM interval_staging s
    WHERE NOT EXISTS (
        SELECT FROM interval_reading r
        WHERE r.meter_id = s.meter_id AND r.ts = s.ts
          AND r.meter_id = ANY (%(meters)b::int[]) AND r.ts BETWEEN %(earliest)s AND %(latest)s)
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM inserted), (SELECT count(*) FROM updated), (SELECT count(*) FROM revised)
