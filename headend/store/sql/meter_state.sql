UPDATE meter SET state = %(state)s, retired_at = NULL WHERE id = %(meter)s AND state <> %(state)s
