-- What the nodes say of themselves, and how long people waited for what they asked for.

CREATE TABLE node (
    name       text PRIMARY KEY,
    roles      text[] NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    numbers    jsonb NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE node IS 'Daemons on this database, each with its numbers of every few seconds. One that was stopped has no row; one that was killed keeps it for an hour.';

CREATE TABLE on_demand (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_at timestamptz NOT NULL,
    done_at  timestamptz NOT NULL,
    meters   int NOT NULL,
    answered int NOT NULL
);
COMMENT ON TABLE on_demand IS 'Reads that somebody asked for and waited for: when they were asked for, and when what came was stored.';
CREATE INDEX on_demand_asked ON on_demand (asked_at);
