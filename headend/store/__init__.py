"""The store: migrations, the writer, the ledger, counters and layouts, on PostgreSQL with or without TimescaleDB.

The rows themselves are the truth; every `now` is a parameter, so that no rule depends on the database's clock.
"""
