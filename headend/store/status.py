"""How complete the store is, and which meters need a look."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from headend.store.database import connect, store_errors
from headend.store.statements import statement


class Completeness(NamedTuple):
    """One division over a span of time: meters, intervals due and stored."""

    division: str
    meters: int
    due: int
    stored: int


class Trouble(NamedTuple):
    """A meter that is parked or whose last try failed, and why."""

    meter: str
    reason: str


async def read_status(dsn: str, start: datetime, until: datetime) -> tuple[list[Completeness], list[Trouble]]:
    """Divisions for intervals that start in [start, until), and the meters in trouble (at most 100). StoreError."""
    async with await connect(dsn) as connection, store_errors():
        cursor = await connection.execute(statement("completeness"), {"start": start, "until": until})
        rows = [Completeness(*row) for row in await cursor.fetchall()]
        cursor = await connection.execute(statement("troubles"))
        return rows, [Trouble(*row) for row in await cursor.fetchall()]
