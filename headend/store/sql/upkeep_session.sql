SET statement_timeout = '30min'
