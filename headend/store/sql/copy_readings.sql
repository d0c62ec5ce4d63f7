COPY (
    SELECT m.serial, to_char(r.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), r.interval_s,
           r.voltage, r.current, r.wh_import, r.vah_import, r.wh_export, r.vah_export, r.meter_health, r.signal_strength
    FROM interval_reading r JOIN meter m ON m.id = r.meter_id
    WHERE r.ts >= %(start)s AND r.ts < %(until)s
    ORDER BY m.id, r.ts
) TO STDOUT (FORMAT csv)
