"""The registry: which meters there are, where they answer, and whether they are read or parked.

The one rule: a meter list is imported whole or not at all, and importing it twice changes nothing the second time.
Meters are found again by name. Keys go to the vault, and never in clear to any table, not even a temporary one.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from drivers.dlms.security import Key, Secret
from headend import listed
from headend.listed import rows_of
from headend.meter_list import MAX_FAULTS, Entry, MeterList
from headend.store.database import Connection, store_errors
from headend.store.statements import statement
from headend.vault import KEY_TYPES, SECRETS, KeyType, NewKey, Vault
from profiles.errors import SettingsError
from profiles.meter_type import MeterType

CHUNK: Final = 5000
"""Meters whose keys go to the vault in one statement."""
PAGE: Final = 2000
"""Meters that are read in one statement."""

Tell = Callable[[str, int, int | None], None]
"""Hears what is being done, how many are done, and of how many (None: not known)."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter, as registered."""

    id: int
    name: str
    serial: str
    system_title: bytes | None
    device_id: str | None
    address: str
    meter_type: str
    division: str
    commissioned_at: datetime
    interval_s: int
    parked_reason: str | None
    """None: it is read."""
    last_contact: datetime | None
    last_error: str | None
    """Why the last try failed; None: it worked, or there was none."""
    state: str = "registered"
    """registered, discovered, active, silent or retired."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import changed."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    keys: int = 0


class KeysAside:
    """The keys of a meter list by line, packed (about 100 octets a meter), until their meters have ids."""

    def __init__(self) -> None:
        self._lines, self._ends = array("i"), array("q")
        self._types, self._octets = bytearray(), bytearray()

    def add(self, line: int, keys: Mapping[KeyType, Key | Secret]) -> None:
        for key_type, material in keys.items():
            self._octets += material.octets
            self._lines.append(line)
            self._types.append(KEY_TYPES.index(key_type))
            self._ends.append(len(self._octets))

    def __iter__(self) -> Iterator[tuple[int, KeyType, Key | Secret]]:
        """Line, key type and key, as they were added."""
        start = 0
        for line, number, end in zip(self._lines, self._types, self._ends, strict=True):
            key_type, octets = KEY_TYPES[number], bytes(self._octets[start:end])
            yield line, key_type, Secret(octets) if key_type in SECRETS else Key(octets)
            start = end


def _say_nothing(what: str, done: int, of: int | None) -> None:
    """For who wants to hear nothing."""


async def import_meters(
    connection: Connection,
    lines: Iterable[str],
    meter_types: Mapping[str, MeterType],
    vault: Vault,
    *,
    now: datetime,
    dry_run: bool = False,
    tell: Tell = _say_nothing,
) -> Imported:
    """Take a meter list (headend.meter_list) into registry and vault, in one transaction; nothing of it if `dry_run`.

    A place that is listed otherwise than it is known begins `now`. `tell` hears what is being done, how many are done,
    and of how many (None: not known). A million meters take minutes and about 200 MB.
    Raises SettingsError that tells up to 50 faults, a line each; then nothing was changed. Raises StoreError.
    """
    entries, keys = MeterList(lines, meter_types), KeysAside()
    async with store_errors(), connection.transaction(force_rollback=dry_run):
        await listed.begin(connection)
        await listed.stage(connection, _kept(entries, keys, tell), meter_types)
        await _check(connection, entries)
        tell("registering", 0, None)
        created, updated, all_of_them = await listed.settle(connection, now)
        stored = await _store_keys(connection, vault, keys, lambda done: tell("storing keys", done, all_of_them))
    done = Imported(created, updated, all_of_them - created - updated, stored)
    if not dry_run:
        log.info("meters_imported", created=created, updated=updated, unchanged=done.unchanged, keys=stored)
    return done


def _kept(entries: Iterable[Entry], keys: KeysAside, tell: Tell) -> Iterator[Entry]:
    """Puts the keys aside, since only the vault may bring them to the database."""
    number = 0
    for number, entry in enumerate(entries, 1):
        keys.add(entry.line, entry.keys)
        if number % CHUNK == 0:
            tell("reading", number, None)
        yield entry
    tell("reading", number, None)


async def _check(connection: Connection, entries: MeterList) -> None:
    """SettingsError with every fault of the list, those that only the database sees included."""
    for line, column, message in await listed.faults(connection, MAX_FAULTS):
        entries.fault(line, column, message)
    if not entries.faults:
        return
    told = sorted(entries.faults, key=lambda fault: fault.line)[:MAX_FAULTS]
    found = len(entries.faults)
    much = "1 fault" if found == 1 else f"{found} faults" if found < MAX_FAULTS else f"{MAX_FAULTS} faults or more"
    raise SettingsError(f"the meter list has {much}; nothing was imported\n" + "\n".join(map(str, told)))


async def _store_keys(connection: Connection, vault: Vault, aside: KeysAside, tell: Callable[[int], None]) -> int:
    """Give the keys put aside to the vault, now that their meters have ids; how many were stored."""
    stored = done = 0
    keys = iter(aside)
    upcoming = next(keys, None)
    async with connection.cursor("ids") as cursor:
        await cursor.execute(statement("listed_ids"))
        while ids := await cursor.fetchmany(CHUNK):
            chunk: list[NewKey] = []
            for line, meter_id in ids:
                while upcoming is not None and upcoming[0] == line:
                    chunk.append(NewKey(meter_id, upcoming[1], upcoming[2]))
                    upcoming = next(keys, None)
            stored += await vault.put(connection, chunk)
            done += len(ids)
            tell(done)
    return stored


async def list_meters(
    connection: Connection,
    *,
    state: str | None = None,
    parked: bool | None = None,
    division: str | None = None,
    transformer: str | None = None,
) -> AsyncIterator[Meter]:
    """All meters by id, retired ones included, or those in this state, division and so on. Raises StoreError."""
    wanted = {"state": state, "parked": parked, "division": division, "transformer": transformer, "limit": PAGE}
    after = 0
    while after >= 0:
        async with store_errors():
            rows = await rows_of(connection, "meters_list", {**wanted, "after": after})
        for row in rows:
            yield Meter(*row)
        after = rows[-1][0] if len(rows) == PAGE else -1


async def find_meter(connection: Connection, name: str) -> Meter:
    """By name or serial; SettingsError when there is none. Raises StoreError."""
    async with store_errors():
        rows = await rows_of(connection, "meter_find", {"name": name})
    if not rows:
        raise SettingsError(f"there is no meter {name!r}", remedy="import it with `headend meters import FILE`")
    return Meter(*rows[0])


async def park(connection: Connection, meter_id: int, reason: str, at: datetime) -> None:
    """Leave the meter alone until `unpark`; a person's first reason stays. Raises StoreError."""
    async with store_errors():
        await connection.execute(statement("meter_park"), {"meter": meter_id, "reason": reason, "at": at})
    log.error("meter_parked", meter_id=meter_id, reason=reason)


async def unpark(connection: Connection, meter_id: int) -> None:
    """Read the meter again. Raises StoreError."""
    async with store_errors():
        await connection.execute(statement("meter_unpark"), {"meter": meter_id})


async def mark_silent(connection: Connection, before: datetime) -> int:
    """Call silent the active meters that last answered before then; how many. Raises StoreError."""
    async with store_errors():
        return (await connection.execute(statement("meters_silent"), {"before": before})).rowcount
