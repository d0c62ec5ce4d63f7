-- Names, serials and system titles that stand in the list twice, or that a meter of another name has.
WITH identity AS (
    SELECT line, name AS meter, 'name' AS what, name AS identity FROM listed
    UNION ALL
    SELECT line, name, 'serial', serial FROM listed WHERE serial IS NOT NULL
    UNION ALL
    SELECT line, name, 'system_title', encode(system_title, 'hex') FROM listed WHERE system_title IS NOT NULL
), twice AS (
    SELECT line, what, identity, min(line) OVER (PARTITION BY what, identity) AS first FROM identity
)
SELECT line, what, identity || ' stands in line ' || first || ' already: each meter once' FROM twice WHERE line > first
UNION ALL
SELECT l.line, 'serial', 'meter ' || m.name || ' has it already: correct one of the two'
FROM listed l JOIN meter m ON m.serial = l.serial AND m.name <> l.name
UNION ALL
SELECT l.line, 'system_title', 'meter ' || m.name || ' has it already: correct one of the two'
FROM listed l JOIN meter m ON m.system_title = l.system_title AND m.name <> l.name
ORDER BY line, what
LIMIT %(most)s
