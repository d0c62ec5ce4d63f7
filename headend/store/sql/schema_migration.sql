CREATE TABLE IF NOT EXISTS schema_migration (
    number     int PRIMARY KEY,
    name       text NOT NULL,
    digest     text NOT NULL,
    applied_at timestamptz NOT NULL
)
