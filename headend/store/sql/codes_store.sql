INSERT INTO event_code AS c (maker, code, log, kind, partner, severity, english, hindi)
SELECT maker, code, log, kind, partner, severity, english, hindi
FROM unnest(%(maker)s::text[], %(code)s::int[], %(log)s::text[], %(kind)s::text[], %(partner)s::int[], %(severity)s::text[],
            %(english)s::text[], %(hindi)s::text[]) AS s (maker, code, log, kind, partner, severity, english, hindi)
ON CONFLICT (maker, code) DO UPDATE
SET log = EXCLUDED.log, kind = EXCLUDED.kind, partner = EXCLUDED.partner, severity = EXCLUDED.severity,
    english = EXCLUDED.english, hindi = EXCLUDED.hindi
WHERE (c.log, c.kind, c.partner, c.severity, c.english, c.hindi)
      IS DISTINCT FROM (EXCLUDED.log, EXCLUDED.kind, EXCLUDED.partner, EXCLUDED.severity, EXCLUDED.english, EXCLUDED.hindi)
