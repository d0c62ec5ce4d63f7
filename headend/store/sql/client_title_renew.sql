-- Another system title for the head-end, as the first was drawn: pairs (title, counter) that were spent stay spent.
UPDATE utility SET client_system_title = '\x484553'::bytea || substring(uuid_send(gen_random_uuid()) FROM 1 FOR 5)
RETURNING client_system_title
