-- How far the upkeep is, and for which fleet it is done.
SELECT nullif(u.readings_since, '-infinity'), nullif(u.pruned_on, '-infinity'), u.energy_zone, z.zone,
       (SELECT count(*) FROM meter WHERE state <> 'retired')
FROM upkeep u CROSS JOIN utility z
