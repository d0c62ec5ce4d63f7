-- What waits (error is NULL) and what was set aside (error says why), oldest first by id.
-- kind: 'finished' or 'apdu'. weight: how much of a batch it fills. at: when it came in, ISO 8601, UTC.
-- AUTOINCREMENT: an id is never used twice, so the order of ids is that of arrival.
CREATE TABLE IF NOT EXISTS entry (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL,
    at        TEXT NOT NULL,
    origin    TEXT NOT NULL,
    weight    INTEGER NOT NULL,
    octets    BLOB NOT NULL,
    error     TEXT,
    failed_at TEXT
) STRICT
