"""A meter of the registry for a command at one meter: where it answers, its type, and its keys.

The one rule: this only looks, and only where the settings name a database; nothing is started for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from psycopg.rows import TupleRow

from drivers.address import Address, parse_address
from headend.listed import rows_of
from headend.registry import Meter, find_meter
from headend.settings import Settings, load_settings
from headend.store.database import Connection, connect, store_errors
from headend.vault import SECRETS, Vault, load_kek
from profiles.errors import SettingsError
from profiles.loader import load_meter_type

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered meter. `meter_type`: a name, or a file of the settings, as `load_meter_type` takes it."""

    address: str
    meter_type: str
    system_title: str | None
    id: int
    settings: Settings = field(repr=False)

    def keys(self) -> dict[str, str]:
        """Its keys from the vault, as a key file has them. Raises SettingsError without the KEK, StoreError."""
        vault = Vault(load_kek(self.settings.vault.kek_file))

        async def stored(connection: Connection) -> dict[str, str]:
            found = (await vault.get(connection, [self.id])).get(self.id, {})
            return {
                name if name in SECRETS else f"{name}_key": ("hex:" if name in SECRETS else "")
                + key.material.octets.hex()
                for name, key in found.items()
            }

        return _asked(self.settings, stored)


def registered_meter(name: str) -> Registered | bool:
    """The registered meter of this name or serial number; False: no database is named, True: it has no such meter."""
    settings = load_settings(None)
    if not settings.database.dsn:
        return False

    async def found(connection: Connection) -> Meter | None:
        with contextlib.suppress(SettingsError):
            return await find_meter(connection, name)
        return None

    meter = _asked(settings, found)
    if meter is None:
        return True
    title = None if meter.system_title is None else meter.system_title.hex()
    return Registered(meter.address, _type_source(settings, meter.meter_type), title, meter.id, settings)


def registered_name(address: Address, serial: str | None, title: bytes) -> str | None:
    """The name of the registered meter, not a retired one, that is at this address or has this serial number or title.

    None: there is none, or no database is named. Raises StoreError where it is away: then nobody knows.
    """
    settings = load_settings(None)
    if not settings.database.dsn:
        return None
    parameters = {"serial": serial, "title": title or None, "host": address.host}

    async def alike(connection: Connection) -> list[TupleRow]:
        async with store_errors():
            return await rows_of(connection, "meters_like", parameters)

    for name, place, itself in _asked(settings, alike):
        if itself or _place(parse_address(place)) == _place(address):
            return str(name)
    return None


def _place(address: Address) -> tuple[object, ...]:
    """Where a meter is, whatever it is spoken to by."""
    return address.host, address.port, address.hdlc.physical, address.gateway


def _type_source(settings: Settings, name: str) -> str:
    base, plus, quirks = name.partition("+")
    for file in settings.meter_types:
        if load_meter_type(file).name == base:
            return f"{file}{plus}{quirks}"
    return name


def _asked(settings: Settings, ask: Callable[[Connection], Awaitable[T]]) -> T:
    """The answer of the database. In a thread: who asks may stand in an event loop, and has nothing else to do."""

    async def answer() -> T:
        connection = await connect(settings.database.dsn)
        async with connection:
            return await ask(connection)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, answer()).result()
