-- What the last visit to a meter was to bring and did not come to, so that it comes with the next one.

ALTER TABLE meter ADD missed text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN meter.missed IS 'Tasks that the last visit did not come to: asked for by the next, whatever that is for. Loads are not among them: the ledger knows what is owed.';
