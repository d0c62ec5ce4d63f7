-- Pushed blocks that wait for their meter's scalers are looked for among the suspects every few minutes.

CREATE INDEX suspect_row_kept ON suspect_row (id)
WHERE reason LIKE 'a block of a meter whose scalers no visit has read yet%';
