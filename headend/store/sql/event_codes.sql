-- What event codes say, as this program has them; nothing is written where that is the same.
WITH known AS (
    SELECT maker, code, log, kind, partner, severity, english, hindi
    FROM unnest(%(maker)b::text[], %(code)b::int[], %(log)b::text[], %(kind)b::text[], %(partner)b::int[],
                %(severity)b::text[], %(english)b::text[], %(hindi)b::text[])
        AS k (maker, code, log, kind, partner, severity, english, hindi)
), gone AS (
    DELETE FROM event_code c WHERE NOT EXISTS (SELECT FROM known k WHERE k.maker = c.maker AND k.code = c.code)
)
INSERT INTO event_code AS c (maker, code, log, kind, partner, severity, english, hindi)
SELECT maker, code, log, kind, partner, severity, english, hindi FROM known
ON CONFLICT (maker, code) DO UPDATE
SET log = EXCLUDED.log, kind = EXCLUDED.kind, partner = EXCLUDED.partner, severity = EXCLUDED.severity,
    english = EXCLUDED.english, hindi = EXCLUDED.hindi
WHERE (c.log, c.kind, c.partner, c.severity, c.english, c.hindi) IS DISTINCT FROM
      (EXCLUDED.log, EXCLUDED.kind, EXCLUDED.partner, EXCLUDED.severity, EXCLUDED.english, EXCLUDED.hindi)
