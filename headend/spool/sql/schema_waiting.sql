CREATE INDEX IF NOT EXISTS entry_waiting ON entry (kind, id) WHERE error IS NULL
