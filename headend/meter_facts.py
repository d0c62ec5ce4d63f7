"""All that is known of one meter, for people and programs.

The one rule: of keys it tells type and version, never anything of the key itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from psycopg.rows import TupleRow

from headend.listed import rows_of
from headend.meter_types import MeterTypes, with_quirks
from headend.places import Installation, installations
from headend.registry import Meter, find_meter
from headend.store.database import Connection, store_errors
from profiles.errors import SettingsError


@dataclass(frozen=True, slots=True)
class CounterFact:
    """The highest invocation counter under a key of whoever has this system title; `ours`: issued by this head-end."""

    system_title: bytes
    ours: bool
    highest: int
    alarm: bool
    """It comes near its end: the key is to be changed."""


@dataclass(frozen=True, slots=True)
class KeyFact:
    """A version of a key or secret; `kek_id`: of the key-encryption key that it is stored under."""

    key_type: str
    version: int
    state: str
    kek_id: str
    counters: tuple[CounterFact, ...]


@dataclass(frozen=True, slots=True)
class LayoutFact:
    """A profile as the meter itself gave it."""

    profile: str
    capture_period_s: int
    columns: int
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Collected:
    """What was read of the meter, and is owed of its block load. Times in UTC; None: not known.

    `complete_until`: everything before is stored, proven absent or lost. `clock_drift_ms`: its time minus ours.
    """

    maker: str
    model: str
    firmware: str
    identified_at: datetime | None
    segment: str | None
    segment_down: str | None
    retired_at: datetime | None
    parked_at: datetime | None
    try_again_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    complete_until: datetime | None
    owed_ranges: int
    owed_intervals: int
    owed_since: datetime | None
    clock_read_at: datetime | None
    clock_drift_ms: int | None
    clock_suspect: bool | None
    clock_set_to: datetime | None


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """`quirks`: of its type, maker and firmware. `installations`: newest first."""

    meter: Meter
    quirks: tuple[str, ...]
    collected: Collected
    installations: list[Installation]
    layouts: list[LayoutFact]
    keys: list[KeyFact]


async def load_facts(connection: Connection, name: str, meter_types: MeterTypes, now: datetime) -> MeterFacts:
    """By name or serial. Raises SettingsError where there is no such meter, StoreError."""
    meter = await find_meter(connection, name)
    places = await installations(connection, meter.id)
    parameters = {"meter": meter.id, "now": now}
    async with store_errors():
        [collected] = await rows_of(connection, "meter_facts", parameters)
        layouts = [LayoutFact(*row) for row in await rows_of(connection, "meter_layouts", parameters)]
        keys = list(_keys(await rows_of(connection, "meter_keys", parameters)))
    known = Collected(*collected)
    return MeterFacts(meter, _quirks(meter, known, meter_types), known, places, layouts, keys)


def _quirks(meter: Meter, known: Collected, meter_types: MeterTypes) -> tuple[str, ...]:
    """None of a type whose file is gone."""
    try:
        return meter_types[with_quirks(meter.meter_type, known.maker, known.firmware)].quirks
    except (KeyError, SettingsError):
        return ()


def _keys(rows: list[TupleRow]) -> Iterator[KeyFact]:
    for (key_type, version, state, kek_id), counters in groupby(rows, key=lambda row: row[:4]):
        found = tuple(CounterFact(*row[4:]) for row in counters if row[4] is not None)
        yield KeyFact(key_type, version, state, kek_id, found)
