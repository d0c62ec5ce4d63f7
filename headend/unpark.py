"""Taking a meter back into collection, once a person has looked at why it was parked."""

from __future__ import annotations

from drivers.address import parse_address
from drivers.credentials import MAX_COUNTER
from drivers.reading import association_of, read_invocation_counter
from headend.meter_types import MeterTypes
from headend.registry import find_meter
from headend.registry import unpark as take_back
from headend.settings import Settings
from headend.store import counters
from headend.store.database import connect
from headend.vault import Vault, load_kek
from profiles.errors import SettingsError


async def unpark(settings: Settings, dsn: str, name: str, *, accept_counter: bool) -> None:
    """Unpark the meter; `accept_counter` first raises ours to what it says in clear, without the usual limit.

    Raises SettingsError, StoreError, and what reading the counter raises.
    """
    async with await connect(dsn) as connection:
        meter = await find_meter(connection, name)
        if accept_counter:
            types = MeterTypes(settings.meter_types)
            if meter.meter_type not in types:
                raise SettingsError(f"meter type {meter.meter_type} is not known")
            meter_type, address = types[meter.meter_type], parse_address(meter.address)
            kind = association_of(meter_type, address)
            keys = (await Vault(load_kek(settings.vault.kek_file)).get(connection, [meter.id])).get(meter.id, {})
            if kind.invocation_counter is None or "encryption" not in keys:
                raise SettingsError(f"{name} has no invocation counter to accept")
            seen = await read_invocation_counter(address, meter_type, kind.invocation_counter)
            title = await counters.client_title(connection)
            await counters.learn(connection, keys["encryption"].id, title, seen, max_step=MAX_COUNTER)
        await take_back(connection, meter.id)
