-- One in the cluster correlates: as long as this connection lives.
SELECT pg_try_advisory_lock(%(class)s, %(number)s)
