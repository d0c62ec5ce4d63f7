"""Our SQL, by name: one statement a file under `sql/`, for a DBA to read; never built from strings."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> bytes:
    """The statement in `sql/<name>.sql`, with psycopg's placeholders."""
    return (files("headend.store") / "sql" / f"{name}.sql").read_bytes()
