-- In which segment each listed meter belongs, and each that shares a line with one. NULL: a bucket of which there is
-- room still. A segment that was given stays until another is.
CREATE TEMPORARY TABLE wanted ON COMMIT DROP AS
WITH line AS (
    SELECT address_line(m.address) AS name, count(*) > 1 AS shared
    FROM meter m LEFT JOIN listed l ON l.name = m.name
    WHERE m.state <> 'retired'
    GROUP BY 1
    HAVING count(l.name) > 0
), known AS (
    SELECT m.id AS meter_id, m.segment_id, s.kind AS kind_before, l.segment AS given, line.name AS line, line.shared,
           i.transformer, concat_ws(' / ', nullif(i.division, ''), nullif(i.feeder, ''), i.transformer) AS place
    FROM meter m
    JOIN line ON line.name = address_line(m.address)
    LEFT JOIN listed l ON l.name = m.name
    LEFT JOIN segment s ON s.id = m.segment_id
    LEFT JOIN installation i ON i.meter_id = m.id AND i.removed_at IS NULL
    WHERE m.state <> 'retired' AND (line.shared OR l.name IS NOT NULL)
), kinds AS (
    SELECT *, CASE WHEN given IS NOT NULL THEN 'given' WHEN shared THEN 'line'
                   WHEN transformer <> '' THEN 'transformer' ELSE 'bucket' END AS kind
    FROM known
    WHERE given IS NOT NULL OR kind_before IS DISTINCT FROM 'given'
)
SELECT meter_id, segment_id AS segment_before, kind,
       CASE kind WHEN 'given' THEN given WHEN 'line' THEN 'line ' || line WHEN 'transformer' THEN 'transformer ' || place
       END AS name
FROM kinds
WHERE kind <> 'bucket' OR kind_before IS DISTINCT FROM 'bucket'
