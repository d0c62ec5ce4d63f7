-- Outages that these meters have a part in.
SELECT DISTINCT outage_id FROM outage_meter WHERE meter_id = ANY (%(meters)s::int[]) AND outage_id IS NOT NULL
