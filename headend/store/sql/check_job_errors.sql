SELECT count(*), max(proc_name), max(err_message)
FROM timescaledb_information.job_errors
WHERE finish_time > %(since)s
