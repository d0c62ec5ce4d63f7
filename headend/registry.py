"""The registry: which meters there are, where they answer, and whether they are read or parked.

The one rule: a meter list is imported whole or not at all, and importing it twice changes nothing the second time.
Meters are found again by name. Keys go to the vault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

import structlog

from headend.meter_list import MAX_FAULTS, Entry, MeterList
from headend.store.database import Connection, store_errors
from headend.store.finished import Contact
from headend.store.statements import statement
from headend.vault import NewKey, Vault
from profiles.errors import SettingsError
from profiles.meter_type import MeterType

CHUNK: Final = 2000
"""Meters that go to the database in one statement."""

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


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import changed."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    keys: int = 0

    def __add__(self, other: Imported) -> Imported:
        return Imported(
            self.created + other.created,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.keys + other.keys,
        )


async def import_meters(
    connection: Connection, lines: Iterable[str], meter_types: Mapping[str, MeterType], vault: Vault
) -> Imported:
    """Take a meter list (headend.meter_list) into registry and vault, in one transaction.

    Raises SettingsError that tells up to 50 faults, a line each; then nothing was changed. Raises StoreError.
    """
    entries = MeterList(lines, meter_types)
    rows = iter(entries)
    done = Imported()
    async with store_errors(), connection.transaction():
        while chunk := list(islice(rows, CHUNK)):
            await _check_others(connection, entries, chunk)
            if not entries.faults:
                done += await _store(connection, chunk, meter_types, vault)
        if entries.faults:
            raise _refusal(entries)
    log.info("meters_imported", created=done.created, updated=done.updated, unchanged=done.unchanged, keys=done.keys)
    return done


def _refusal(entries: MeterList) -> SettingsError:
    told = sorted(entries.faults, key=lambda fault: fault.line)[:MAX_FAULTS]
    found = len(entries.faults)
    much = "1 fault" if found == 1 else f"{found} faults" if found < MAX_FAULTS else f"{MAX_FAULTS} faults or more"
    return SettingsError(f"the meter list has {much}; nothing was imported\n" + "\n".join(map(str, told)))


async def _check_others(connection: Connection, entries: MeterList, chunk: Sequence[Entry]) -> None:
    """Serials and system titles that another meter has already."""
    cursor = await connection.execute(statement("meters_others"), _columns(chunk))
    for line, column, other in await cursor.fetchall():
        entries.fault(line, column, f"meter {other} has it already: correct one of the two")


async def _store(
    connection: Connection, chunk: Sequence[Entry], meter_types: Mapping[str, MeterType], vault: Vault
) -> Imported:
    columns = _columns(chunk)
    columns["interval_s"] = [_interval_s(meter_types[entry.meter_type]) for entry in chunk]
    await connection.execute(statement("meters_forget"), columns)
    cursor = await connection.execute(statement("meters_store"), columns)
    created = [new for (new,) in await cursor.fetchall()]
    cursor = await connection.execute(statement("meters_ids"), columns)
    ids: dict[str, int] = dict(await cursor.fetchall())
    keys = [NewKey(ids[e.name], key_type, material) for e in chunk for key_type, material in e.keys.items()]
    stored = await vault.put(connection, keys)
    return Imported(sum(created), len(created) - sum(created), len(chunk) - len(created), stored)


def _interval_s(meter_type: MeterType) -> int:
    """What the type says; the meter itself corrects it when it is read."""
    profile = meter_type.profiles.get("block_load")
    return profile.capture_period_s if profile is not None else 900


def _columns(chunk: Sequence[Entry]) -> dict[str, Any]:
    return {
        "line": [entry.line for entry in chunk],
        "name": [entry.name for entry in chunk],
        "serial": [entry.serial for entry in chunk],
        "system_title": [entry.system_title for entry in chunk],
        "device_id": [entry.device_id for entry in chunk],
        "address": [entry.address for entry in chunk],
        "meter_type": [entry.meter_type for entry in chunk],
        "division": [entry.division for entry in chunk],
        "commissioned_at": [entry.commissioned_at for entry in chunk],
    }


async def load_meters(connection: Connection, *, after: int = 0, limit: int = 1000) -> list[Meter]:
    """Up to `limit` meters with an id above `after`, by id, parked ones included. Raises StoreError."""
    async with store_errors():
        cursor = await connection.execute(statement("meters_load"), {"after": after, "limit": limit})
        return [Meter(*row) for row in await cursor.fetchall()]


async def find_meter(connection: Connection, name: str) -> Meter:
    """By name or serial; SettingsError when there is none. Raises StoreError."""
    async with store_errors():
        row = await (await connection.execute(statement("meter_find"), {"name": name})).fetchone()
    if row is None:
        raise SettingsError(f"there is no meter {name!r}", remedy="import it with `headend meters import FILE`")
    return Meter(*row)


async def park(connection: Connection, meter_id: int, reason: str, at: datetime) -> None:
    """Leave the meter alone until someone has looked; the first reason stays. Raises StoreError."""
    async with store_errors():
        await connection.execute(statement("meter_park"), {"meter": meter_id, "reason": reason, "at": at})
    log.error("meter_parked", meter_id=meter_id, reason=reason)


async def unpark(connection: Connection, meter_id: int) -> None:
    """Read the meter again. Raises StoreError."""
    async with store_errors():
        await connection.execute(statement("meter_unpark"), {"meter": meter_id})


async def record_contacts(connection: Connection, contacts: Sequence[Contact]) -> None:
    """Note when meters last answered, and how they last failed; at most one each a meter. Raises StoreError."""
    parameters = {
        "meter_id": [contact.meter_id for contact in contacts],
        "at": [contact.at for contact in contacts],
        "error": [contact.error for contact in contacts],
    }
    async with store_errors():
        await connection.execute(statement("meters_contact"), parameters)
