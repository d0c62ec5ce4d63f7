-- What is in the log goes to its place, and the log's room back to the disk.
PRAGMA wal_checkpoint(TRUNCATE);
