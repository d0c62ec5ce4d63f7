-- The system title under which this head-end (all its machines) spends invocation counters. Drawn once: no two
-- issuers may share one, since a pair (title, counter) must never come twice under a key.

ALTER TABLE utility ADD COLUMN client_system_title bytea CHECK (octet_length(client_system_title) = 8);
UPDATE utility SET client_system_title = '\x484553'::bytea || substring(uuid_send(gen_random_uuid()) FROM 1 FOR 5);
ALTER TABLE utility ALTER COLUMN client_system_title SET NOT NULL;
