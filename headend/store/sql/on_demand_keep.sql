-- Those of long ago are forgotten.
WITH old AS (
    DELETE FROM on_demand WHERE asked_at < %(done_at)s - INTERVAL '400 days'
)
INSERT INTO on_demand (asked_at, done_at, meters, answered)
VALUES (%(asked_at)s, %(done_at)s, %(meters)s, %(answered)s)
