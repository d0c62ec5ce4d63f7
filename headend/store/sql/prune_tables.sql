-- Plain tables whose rows are as old as their readings.
WITH readings AS (
    DELETE FROM reading_revision WHERE ts < %(since)s
), profiles AS (
    DELETE FROM profile_revision WHERE ts < %(since)s
), pushes AS (
    DELETE FROM push_seen WHERE read_at < %(since)s
)
DELETE FROM suspect_row WHERE read_at < %(since)s
