-- Those that were killed long ago are forgotten.
WITH gone AS (
    DELETE FROM node WHERE seen_at < %(now)s - INTERVAL '1 hour' AND name <> %(name)s
)
INSERT INTO node (name, roles, started_at, seen_at, numbers)
VALUES (%(name)s, %(roles)s, %(started_at)s, %(now)s, %(numbers)s)
ON CONFLICT (name) DO UPDATE SET seen_at = EXCLUDED.seen_at, numbers = EXCLUDED.numbers
