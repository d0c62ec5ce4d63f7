-- What later news took all meters from was no outage.
DELETE FROM outage o
WHERE o.id = ANY (%(outages)s::int[]) AND NOT EXISTS (SELECT FROM outage_meter r WHERE r.outage_id = o.id)
