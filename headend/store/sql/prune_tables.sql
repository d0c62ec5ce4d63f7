-- Plain tables whose rows are as old as their readings.
WITH readings AS (
    DELETE FROM reading_revision WHERE ts < %(since)s
), profiles AS (
    DELETE FROM profile_revision WHERE ts < %(since)s
)
DELETE FROM suspect_row WHERE read_at < %(since)s
