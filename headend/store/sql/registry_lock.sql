SET LOCAL statement_timeout = '1h';
SELECT pg_advisory_xact_lock(hashtext('headend.registry'))
