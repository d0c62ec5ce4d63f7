SELECT count(*) FROM unnest(%(meters)b::int[]) AS meter WHERE pg_advisory_unlock(%(class)s, meter)
