SELECT pg_notify('headend_event', '')
