CREATE INDEX IF NOT EXISTS entry_set_aside ON entry (id) WHERE error IS NOT NULL
