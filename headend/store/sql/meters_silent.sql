UPDATE meter SET state = 'silent' WHERE state = 'active' AND last_contact < %(before)s
