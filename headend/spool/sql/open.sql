-- Before the first table is made: pages can be given back to the disk.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
-- A commit is on the disk when it returns.
PRAGMA synchronous = FULL;
-- The log stays no larger than this after a checkpoint, in octets.
PRAGMA journal_size_limit = 16777216;
