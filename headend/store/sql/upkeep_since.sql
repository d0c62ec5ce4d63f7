-- From now on the ledger knows nothing of days before `since`, whose readings are to be dropped: nothing of them is owed.
WITH state AS (
    UPDATE upkeep SET readings_since = greatest(readings_since, %(since)s)
    RETURNING readings_since, local_day(readings_since, utility_zone()) AS day
), settled AS (
    UPDATE watermark w SET settled = s.readings_since FROM state s WHERE w.settled < s.readings_since
), days AS (
    DELETE FROM meter_day d USING state s WHERE d.day < s.day
)
DELETE FROM absence a USING state s WHERE a.ends <= s.readings_since
