"""The store on both databases: what sessions and pushes brought, whole, once, in any order, by many writers at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg import sql

from drivers.reading import Layout
from headend.store.batch import Store
from headend.store.database import Connection, Pool, edition
from headend.store.finished import (
    ClockCheck,
    Contact,
    Covered,
    EventMark,
    Finished,
    MeterEvent,
    Nameplate,
    ProfileReading,
    StatusWord,
)
from headend.store.rows import MeterIntervals, Source
from headend.store.writer import Written
from profiles.objects import CaptureObject, Obis, ScalerUnit

Reading = Callable[..., MeterIntervals]
MIDNIGHT = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
NOW = MIDNIGHT + timedelta(days=2)
TITLE = b"HEM00001"
WH = "3/1.0.1.8.0.255/2"
VAH = "3/1.0.9.8.0.255/2"
TABLES = (
    "meter",
    "interval_reading",
    "profile_reading",
    "profile_revision",
    "meter_event",
    "meter_status_word",
    "event_mark",
    "clock_check",
    "push_window",
    "invocation_counter",
    "meter_profile",
    "meter_day",
    "watermark",
    "absence",
    "suspect_row",
)


@pytest.fixture
async def store(pool: Pool, connection: Connection) -> Store:
    return Store(pool, await edition(connection))


@pytest.fixture
async def key(connection: Connection, meters: list[int]) -> int:
    """The id of an encryption key of the first meter."""
    cursor = await connection.execute(
        "INSERT INTO meter_key (meter_id, key_type, version, state, kek_id, nonce, ciphertext) "
        "VALUES (%s, 'encryption', 1, 'active', 'k', %s, %s) RETURNING id",
        (meters[0], bytes(12), bytes(32)),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def contents(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, but for the ids that the database gives."""
    found = {}
    for table in TABLES:
        query = sql.SQL("SELECT to_jsonb(t) - 'id' - 'stored_by' - 'complete_at' FROM {} t ORDER BY 1")
        found[table] = await (await connection.execute(query.format(sql.Identifier(table)))).fetchall()
    return found


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


def daily(meter: int, values: dict[str, Decimal | str | bool | None], *, read_at: float = 30) -> ProfileReading:
    units = {key: 30 if key == WH else 31 for key in values}
    return ProfileReading(meter, "daily_load", MIDNIGHT, values, units, 0, at(read_at), Source.SCHEDULED)


def event(meter: int, code: int, hours: float, sequence: int | None, *, nth: int = 0, log: str = "power") -> MeterEvent:
    values = {} if sequence is None else {"3/1.0.12.7.0.255/2": Decimal("230.10")}
    return MeterEvent(meter, log, code, at(hours), nth, sequence, values, 0, at(30), Source.SCHEDULED)


def session(meter: int, key: int, reading: Reading) -> Finished:
    """One of everything."""
    layout = Layout(
        (CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2, 0),),
        {(3, Obis.parse("1.0.1.8.0.255"), 2): ScalerUnit(0, 30)},
        900,
    )
    return Finished(
        Contact(meter, at(30)),
        (reading(meter, 0, {"voltage": list(range(96))}, read_at=30),),
        {"block_load": layout},
        (daily(meter, {WH: Decimal("123456.70")}),),
        (event(meter, 101, 3, 1), event(meter, 102, 4, 2)),
        (EventMark(meter, "power", 2, at(4)),),
        StatusWord(meter, at(29), (3, 85)),
        ClockCheck(meter, at(30), -1.25, 0.2, set_to=at(30)),
        (Covered(meter, "block_load", MIDNIGHT, at(24), at(30), at(30)),),
        Nameplate(meter, "Maker", "Model", "1.2", at(30)),
        {(key, TITLE): 77},
    )


async def test_all_that_a_session_brought_is_stored_and_again_changes_nothing(
    store: Store, connection: Connection, meters: list[int], key: int, reading: Reading
) -> None:
    finished = session(meters[0], key, reading)
    assert await store.write([finished], NOW) == Written(inserted=96, profiles=1, events=4)
    before = await contents(connection)
    assert all(
        before[table] for table in TABLES if table not in {"profile_revision", "push_window", "absence", "suspect_row"}
    )
    assert await store.write([finished, finished], NOW) == Written(unchanged=192)
    assert await contents(connection) == before
