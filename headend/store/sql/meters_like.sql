-- Registered meters that a meter which is asked by hand may be: those at its host, and who has its number or title.
SELECT name, address, serial = %(serial)s OR coalesce(system_title = %(title)s, false) AS itself
FROM meter
WHERE state <> 'retired'
  AND (serial = %(serial)s OR system_title = %(title)s OR address_host(address) = %(host)s)
ORDER BY name
