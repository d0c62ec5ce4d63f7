-- Pushes that no invocation counter tells apart, because each came under a key of its own.

CREATE TABLE push_seen (
    meter_id    int NOT NULL REFERENCES meter,
    transaction bytea NOT NULL,
    read_at     timestamptz NOT NULL,
    PRIMARY KEY (meter_id, transaction)
);
CREATE INDEX push_seen_read_at ON push_seen (read_at);
COMMENT ON TABLE push_seen IS 'Transactions (SHA-256 of their ids) of authenticated pushes without a counter: what came before is a repetition. Kept as long as readings.';
