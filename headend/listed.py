"""How the registry is changed: rows are staged in the table `listed`, and brought into place set-wise.

The one rule: whoever changes the registry calls `begin` first, in the transaction of the change; so changes come one
after the other, and each sees what the ones before left. Keys never stand in `listed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from psycopg.rows import TupleRow

from headend.meter_list import OPTIONAL, REQUIRED, Entry
from headend.store.database import Connection
from headend.store.statements import statement
from profiles.meter_type import MeterType

COLUMNS: Final = ("line", *REQUIRED, *OPTIONAL)
"""What the table takes of an entry, in its order; the interval follows."""
BUCKET: Final = 300
"""Meters that are collected together where nothing else says which."""


async def begin(connection: Connection) -> None:
    """One change of the registry at a time, and a place for what it brings."""
    await connection.execute(statement("registry_lock"))
    await connection.execute(statement("listed"))


async def stage(connection: Connection, entries: Iterable[Entry], meter_types: Mapping[str, MeterType]) -> None:
    """Bring entries into the table `listed`, without their keys."""
    periods: dict[str | None, int | None] = {None: None}
    async with connection.cursor().copy(statement("listed_copy")) as copy:
        for entry in entries:
            name = entry.meter_type
            if name not in periods and name is not None:
                periods[name] = _interval_s(meter_types[name])
            await copy.write_row([getattr(entry, column) for column in COLUMNS] + [periods[name]])
    await connection.execute("ANALYZE listed")


async def faults(connection: Connection, most: int) -> list[tuple[int, str, str]]:
    """Line, column and what is wrong with it: meters that are listed twice, or have what another one has."""
    return [(line, column, text) for line, column, text in await rows_of(connection, "listed_faults", {"most": most})]


async def settle(connection: Connection, now: datetime, *, begins: datetime | None = None) -> tuple[int, int, int]:
    """Bring what is listed into the registry; how many meters are new, were changed, and are listed.

    Another place than before begins `now`; a first one begins with the commissioning, or when it is said to.
    """
    [(listed, newest)] = await rows_of(connection, "listed_before")
    await connection.execute(statement("meters_forget"))
    changed = await rows_of(connection, "meters_change", {"now": now})
    created = (await connection.execute(statement("meters_make"))).rowcount
    changed += await rows_of(connection, "installations_begin", {"newest": newest, "begins": begins})
    changed += await _give_segments(connection, newest)
    await connection.execute(statement("listed_due"), {"changed": [meter for (meter,) in changed], "newest": newest})
    return created, len(set(changed)), listed


async def _give_segments(connection: Connection, newest: int) -> list[TupleRow]:
    """Put what is listed, and what shares a line with it, where it belongs.

    Returns the ids up to `newest` of those that were given another segment by name.
    """
    await connection.execute(statement("segments_wanted"))
    await connection.execute(statement("segments_number"), {"bucket": BUCKET})
    await connection.execute(statement("segments_make"))
    return await rows_of(connection, "segments_give", {"newest": newest})


async def rows_of(connection: Connection, name: str, parameters: Mapping[str, object] | None = None) -> list[TupleRow]:
    """What a statement answers, all of it."""
    return await (await connection.execute(statement(name), parameters)).fetchall()


def _interval_s(meter_type: MeterType) -> int:
    """What the type says; the meter itself corrects it when it is read."""
    profile = meter_type.profiles.get("block_load")
    return profile.capture_period_s if profile is not None else 900
