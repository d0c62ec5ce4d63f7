-- How far events are correlated, and what transactions before this one have all ended by now.
SELECT least(followed, pg_snapshot_xmin(pg_current_snapshot()))::text, pg_snapshot_xmin(pg_current_snapshot())::text
FROM outage_mark
