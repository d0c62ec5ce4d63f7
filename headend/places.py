"""Where meters are installed, since when and for whom; what replaces them, and when they retire.

The one rule: what was, stays. Another place, consumer or meter begins at a moment, and what was before ends there.
A retired meter is not read, and owes nothing from that moment on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import structlog

from headend import listed
from headend.listed import rows_of
from headend.meter_list import PLACE, Entry, entry_of
from headend.registry import Meter, find_meter
from headend.store.database import Connection, store_errors
from headend.store.statements import statement
from profiles.errors import SettingsError
from profiles.meter_type import MeterType

STATES = ("registered", "discovered", "active", "silent")
"""What a meter that is read can be called."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Installation:
    """A meter at a place; `removed_at` is None while it is there. `last_reading`: kWh of its import register then."""

    installed_at: datetime
    removed_at: datetime | None
    circle: str
    division: str
    feeder: str
    transformer: str
    consumer_id: str
    last_reading: Decimal | None
    replaced_by: str | None
    """Name of the meter that stands there since."""

    @property
    def place(self) -> dict[str, str]:
        """What is known of the place, by column of the meter list."""
        return {column: text for column in PLACE if (text := getattr(self, column))}


async def installations(connection: Connection, meter_id: int) -> list[Installation]:
    """Where a meter is and was, newest first. Raises StoreError."""
    async with store_errors():
        return [Installation(*row) for row in await rows_of(connection, "meter_installations", {"meter": meter_id})]


async def set_meter(
    connection: Connection,
    name: str,
    cells: Mapping[str, str],
    meter_types: Mapping[str, MeterType],
    *,
    now: datetime,
    at: datetime | None = None,
    state: str | None = None,
) -> bool:
    """Change what `cells` says, by column of the meter list; place and consumer from `at` on (None: now).

    `state` calls a meter so; a retired one is taken back by it, at its last place, and owes again from `at` on.
    False: all of it is so already. Raises SettingsError, StoreError.
    """
    begins = _moment(at, now)
    async with store_errors(), connection.transaction():
        await listed.begin(connection)
        meter = await find_meter(connection, name)
        change = {"name": meter.name, **cells}
        history = await installations(connection, meter.id)
        if meter.state == "retired":
            change = {"name": meter.name, **_taken_back(meter, history, begins, state), **cells}
        elif history and history[0].removed_at is None and set(cells) & set(PLACE):
            _check_order(meter, history[0].installed_at, begins, "its present installation began", same=True)
        changed = False
        if state is not None:
            parameters = {"meter": meter.id, "state": state}
            changed = (await connection.execute(statement("meter_state"), parameters)).rowcount > 0
        await _stage(connection, entry_of(change, meter_types), meter_types)
        _, updated, _ = await listed.settle(connection, begins, begins=at)
    changed = changed or updated > 0
    if changed:
        log.info("meter_changed", meter=meter.name, columns=sorted(cells), state=state)
    return changed


async def replace_meter(
    connection: Connection, old: str, new: str, *, at: datetime, last_reading: Decimal | None, now: datetime
) -> None:
    """`new`, which is registered and nowhere installed, stands from `at` on where `old` stood, which retires.

    `last_reading`: kWh on the import register of `old`. `new` owes from `at` on. Raises SettingsError, StoreError.
    """
    _moment(at, now)
    async with store_errors(), connection.transaction():
        await listed.begin(connection)
        before, after = await find_meter(connection, old), await find_meter(connection, new)
        place = await _present(connection, before, at)
        await _check_free(connection, before, after, at)
        change = {"name": after.name, "commissioned_at": at.isoformat(), **place}
        for segment, kind in await rows_of(connection, "meter_segment", {"meter": before.id}):
            change |= {"segment": segment} if kind == "given" else {}
        await _end(connection, before, at, last_reading, after.id)
        await _stage(connection, entry_of(change, {}), {})
        await listed.settle(connection, at, begins=at)
    log.info("meter_replaced", meter=before.name, by=after.name, at=at.isoformat())


async def retire_meter(
    connection: Connection, name: str, *, at: datetime, last_reading: Decimal | None, now: datetime
) -> None:
    """The meter is read no more, and owes nothing from `at` on. Raises SettingsError, StoreError."""
    _moment(at, now)
    async with store_errors(), connection.transaction():
        await listed.begin(connection)
        meter = await find_meter(connection, name)
        if meter.state == "retired":
            raise SettingsError("it is retired already", meter=meter.name)
        history = await installations(connection, meter.id)
        if history and history[0].removed_at is None:
            _check_order(meter, history[0].installed_at, at, "its installation began")
        elif last_reading is not None:
            raise SettingsError("it is not installed, and so has no last reading there", meter=meter.name)
        await _end(connection, meter, at, last_reading, None)
    log.info("meter_retired", meter=meter.name, at=at.isoformat())


async def _end(
    connection: Connection, meter: Meter, at: datetime, last_reading: Decimal | None, replaced_by: int | None
) -> None:
    parameters = {"meter": meter.id, "at": at, "last_reading": last_reading, "replaced_by": replaced_by}
    await connection.execute(statement("meter_end"), parameters)


async def _stage(connection: Connection, entry: Entry, meter_types: Mapping[str, MeterType]) -> None:
    await listed.stage(connection, [entry], meter_types)
    for _, column, message in await listed.faults(connection, 1):
        raise SettingsError(message, meter=entry.name, asked=column)


async def _present(connection: Connection, meter: Meter, at: datetime) -> dict[str, str]:
    """The place where it stands until `at`."""
    history = await installations(connection, meter.id)
    if meter.state == "retired" or not history or history[0].removed_at is not None:
        raise SettingsError(
            "it is installed nowhere, so nothing can replace it there",
            meter=meter.name,
            remedy=f"say where it is: `headend meters set {meter.name} --transformer …`",
        )
    _check_order(meter, history[0].installed_at, at, "its installation began")
    return history[0].place


async def _check_free(connection: Connection, old: Meter, new: Meter, at: datetime) -> None:
    if new.id == old.id:
        raise SettingsError("a meter does not replace itself", meter=new.name)
    history = await installations(connection, new.id)
    if new.state == "retired":
        raise SettingsError(
            "it is retired",
            meter=new.name,
            remedy=f"take it back first: `headend meters set {new.name} --state registered`",
        )
    if history and history[0].removed_at is None:
        raise SettingsError("it is installed elsewhere already", meter=new.name, remedy="name the meter that is new")
    if history and history[0].removed_at is not None:
        _check_order(new, history[0].removed_at, at, "its last installation ended", same=True)


def _taken_back(meter: Meter, history: list[Installation], at: datetime, state: str | None) -> dict[str, str]:
    """What a retired meter is staged with: its last place, from `at` on."""
    if state is None:
        raise SettingsError(
            "it is retired", meter=meter.name, remedy="with --state registered it is taken back, and read again"
        )
    last = history[0] if history else None
    if last is not None and last.removed_at is not None:
        _check_order(meter, last.removed_at, at, "its last installation ended", same=True)
    return {"commissioned_at": at.isoformat(), **({} if last is None else last.place)}


def _check_order(meter: Meter, before: datetime, at: datetime, what: str, *, same: bool = False) -> None:
    if at < before or (at == before and not same):
        raise SettingsError(
            f"{what} {before:%Y-%m-%dT%H:%M:%SZ}, which is not before {at:%Y-%m-%dT%H:%M:%SZ}",
            meter=meter.name,
            remedy="give a later --at",
        )


def _moment(at: datetime | None, now: datetime) -> datetime:
    if at is not None and at > now:
        raise SettingsError(f"{at:%Y-%m-%dT%H:%M:%SZ} is still to come", remedy="give an --at that is past")
    return at or now
