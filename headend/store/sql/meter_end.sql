-- Retires a meter: its installation ends, and no segment has it any more.
WITH ended AS (
    UPDATE installation SET removed_at = %(at)s, last_reading = %(last_reading)s, replaced_by = %(replaced_by)s
    WHERE meter_id = %(meter)s AND removed_at IS NULL
)
UPDATE meter SET state = 'retired', retired_at = %(at)s, segment_id = NULL WHERE id = %(meter)s
