-- Serials and system titles of a meter list that a meter of another name has.
WITH listed AS (
    SELECT line, name, serial, system_title
    FROM unnest(%(line)b::int[], %(name)b::text[], %(serial)b::text[], %(system_title)b::bytea[])
        AS l (line, name, serial, system_title)
)
SELECT l.line, 'serial', m.name FROM listed l JOIN meter m ON m.serial = l.serial AND m.name <> l.name
UNION ALL
SELECT l.line, 'system_title', m.name FROM listed l JOIN meter m ON m.system_title = l.system_title AND m.name <> l.name
