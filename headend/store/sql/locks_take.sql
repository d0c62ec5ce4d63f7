-- Which of these meters this connection may open an association with: advisory locks of the session.
SELECT meter FROM unnest(%(meters)b::int[]) AS meter WHERE pg_try_advisory_lock(%(class)s, meter)
