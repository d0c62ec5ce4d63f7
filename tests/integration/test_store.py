"""The store on both databases: what sessions and pushes brought, whole, once, in any order, by many writers at once."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg import sql
from structlog.testing import capture_logs

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
    PushCounter,
    StatusWord,
    Value,
)
from headend.store.rows import MeterIntervals, Source
from headend.store.writer import Written
from profiles.errors import StoreError
from profiles.intervals import Quality
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


def daily(meter: int, values: dict[str, Value], *, read_at: float = 30) -> ProfileReading:
    units = {key: 30 if key == WH else 31 for key in values}
    return ProfileReading(meter, "daily_load", MIDNIGHT, values, units, 0, at(read_at), Source.SCHEDULED)


def event(
    meter: int, code: int, hours: float, sequence: int | None = None, *, nth: int = 0, source: Source = Source.SCHEDULED
) -> MeterEvent:
    """With a snapshot and the log's number, or as a push brings it."""
    values: dict[str, Value] = {} if sequence is None else {"3/1.0.12.7.0.255/2": Decimal("230.10")}
    quality = int(Quality.NOT_AUTHENTICATED) if sequence is None else 0
    return MeterEvent(meter, "power", code, at(hours), nth, sequence, values, quality, at(30), source)


def word(meter: int, hours: float, *bits: int, read_at: float | None = None) -> Finished:
    return Finished(
        Contact(meter, at(hours if read_at is None else read_at)), status_word=StatusWord(meter, at(hours), bits)
    )


async def events_of(connection: Connection, meter: int) -> list[tuple[Any, ...]]:
    """(hour, code, log, sequence) of each stored event."""
    cursor = await connection.execute(
        "SELECT extract(epoch FROM occurred_at - %s)::float / 3600, code, log, sequence FROM meter_event "
        "WHERE meter_id = %s ORDER BY occurred_at, code, sequence",
        (MIDNIGHT, meter),
    )
    return await cursor.fetchall()


async def rows(connection: Connection, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode(), parameters)).fetchall()


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


async def test_whatever_order_it_comes_in_the_same_is_stored(
    store: Store, connection: Connection, meters: list[int], reading: Reading
) -> None:
    def brought(meter: int) -> list[Finished]:
        return [
            Finished(
                Contact(meter, at(30)),
                (reading(meter, 0, {"voltage": [1, 2, 3]}, read_at=30),),
                profiles=(daily(meter, {WH: Decimal(10), VAH: Decimal(11)}, read_at=30),),
                events=(event(meter, 101, 3, 7), event(meter, 101, 3, 8, nth=1)),
                marks=(EventMark(meter, "power", 8, at(3)),),
                clock=ClockCheck(meter, at(30), 2.0, 0.1),
                nameplate=Nameplate(meter, "A", "", "1", at(30)),
            ),
            Finished(
                Contact(meter, at(31)),
                (reading(meter, 1, {"voltage": [2, 5], "current": [8, 9]}, read_at=31, source=Source.PUSH),),
                profiles=(daily(meter, {WH: Decimal(12)}, read_at=31),),
                events=(event(meter, 101, 3, source=Source.PUSH),),
            ),
            Finished(Contact(meter, at(32), "no answer")),
            Finished(
                Contact(meter, at(33)),
                (reading(meter, 0, {"voltage": [1, 2, 6, 7]}, read_at=33),),
                profiles=(daily(meter, {WH: Decimal("12.0")}, read_at=33),),
                events=(event(meter, 101, 3, 8), event(meter, 102, 5, 9)),
                marks=(EventMark(meter, "power", 9, at(5)),),
                nameplate=Nameplate(meter, "A", "B", "2", at(33)),
            ),
        ]

    orders = random.Random(1).sample(list(itertools.permutations(range(4))), 6)
    for meter, order in zip(meters, orders, strict=False):
        for number in order:
            await store.write([brought(meter)[number]], NOW)
    together = meters[len(orders)]
    await store.write(brought(together), NOW)
    found = {}
    for meter in meters[: len(orders) + 1]:
        found[meter] = {
            "intervals": await rows(
                connection,
                "SELECT ts, voltage, current, quality FROM interval_reading WHERE meter_id = %s ORDER BY ts",
                meter,
            ),
            "profiles": await rows(
                connection,
                'SELECT ts, "values", units, quality FROM profile_reading WHERE meter_id = %s',
                meter,
            ),
            "events": await events_of(connection, meter),
            "marks": await rows(
                connection, "SELECT log, sequence, occurred_at FROM event_mark WHERE meter_id = %s", meter
            ),
            "meter": await rows(
                connection,
                "SELECT last_contact, last_error, model, firmware, identified_at FROM meter WHERE id = %s",
                meter,
            ),
            "days": await rows(
                connection,
                "SELECT profile, day, due, stored FROM meter_day WHERE meter_id = %s ORDER BY 1",
                meter,
            ),
        }
    for meter, order in zip(meters, orders, strict=False):
        assert found[meter] == found[together], order
    assert found[together]["profiles"] == [(MIDNIGHT, {WH: 12, VAH: 11}, {WH: 30, VAH: 31}, int(Quality.CORRECTED))]
    assert found[together]["events"] == [(3, 101, "power", 7), (3, 101, "power", 8), (5, 102, "power", 9)]


async def test_a_push_that_comes_again_stores_nothing(
    store: Store, connection: Connection, meters: list[int], key: int, reading: Reading
) -> None:
    def push(counter: int, slot: int) -> Finished:
        item = reading(meters[0], slot, {"voltage": [1]}, source=Source.PUSH)
        return Finished(Contact(meters[0], at(24)), (item,), push=PushCounter(key, TITLE, counter))

    written = await store.write([push(100, 0), push(99, 1), push(100, 2)], NOW)
    assert written == Written(inserted=2, repeated=1)
    assert await store.write([push(99, 3), push(200, 4), push(136, 5), push(137, 6)], NOW) == Written(
        inserted=2, repeated=2
    )
    assert await rows(connection, "SELECT highest, bitmap FROM push_window") == [(200, 1 - 2**63)]
    before = await contents(connection)
    later = replace(push(200, 7), contact=Contact(meters[0], at(40)), events=(event(meters[0], 101, 3),))
    assert await store.write([later], NOW) == Written(repeated=1)
    assert await contents(connection) == before
    many = await asyncio.gather(*(store.write([push(201, 8)], NOW) for _ in range(6)))
    assert sorted(one.repeated for one in many) == [0, 1, 1, 1, 1, 1]


async def test_what_fails_at_any_step_leaves_nothing_of_the_batch(
    store: Store, connection: Connection, meters: list[int], key: int, reading: Reading
) -> None:
    good, meter = replace(session(meters[0], key, reading), push=PushCounter(key, TITLE, 5)), meters[1]
    bad = Finished(Contact(meter, at(30)))
    poisoned = [
        replace(bad, push=PushCounter(9999, TITLE, 1)),
        replace(bad, contact=Contact(9999, at(30))),
        replace(bad, received={(9999, TITLE): 1}),
        replace(bad, nameplate=Nameplate(meter, "a NUL: \0", "", "", at(30))),
        replace(bad, clock=ClockCheck(meter, at(30), 1e30, 0)),
        replace(bad, readings=(reading(meter, -(10**7), {"voltage": [1]}),)),
        replace(bad, profiles=(daily(meter, {WH: Decimal("1E+200000")}),)),
        replace(bad, events=(event(meter, 2**40, 1, 1),)),
        replace(bad, status_word=StatusWord(meter, at(30), (1,), quality=2**40)),
        replace(bad, marks=(EventMark(meter, "power", 2**70, None),)),
    ]
    before = await contents(connection)
    for one in poisoned:
        for batch in ([good, one], [one, good]):
            with pytest.raises(StoreError) as refused:
                await store.write(batch, NOW)
            assert not refused.value.retry
    assert await contents(connection) == before
    assert (await store.write([good], NOW)).inserted == 96, "which needed another key's window, rolled back"


async def test_an_event_is_stored_once_however_it_comes(
    store: Store, connection: Connection, meters: list[int]
) -> None:
    meter = meters[0]

    async def bring(*events: MeterEvent) -> int:
        return (await store.write([Finished(Contact(meter, at(30)), events=events)], NOW)).events

    assert await bring(event(meter, 101, 3, source=Source.PUSH)) == 1
    assert await rows(connection, 'SELECT "values", quality, source FROM meter_event') == [
        ({}, int(Quality.NOT_AUTHENTICATED), int(Source.PUSH))
    ]
    assert await bring(event(meter, 101, 3, 7), event(meter, 102, 3, 8)) == 1
    assert await rows(connection, 'SELECT "values"::text, quality, source FROM meter_event WHERE code = 101') == [
        ('{"3/1.0.12.7.0.255/2": 230.10}', 0, int(Source.PUSH))
    ], "what the push did not have is added"
    assert await bring(event(meter, 101, 3, 7, source=Source.FILE), event(meter, 101, 3, source=Source.PUSH)) == 0
    assert await bring(event(meter, 101, 3, 9)) == 1, "the next read of the log begins behind 7 and counts from 0 again"
    assert await bring(event(meter, 101, 3, 9), event(meter, 101, 3, 7)) == 0
    assert await bring(event(meter, 101, 3, 7), event(meter, 101, 3, 9, nth=1)) == 0
    assert await events_of(connection, meter) == [
        (3, 101, "power", 7),
        (3, 101, "power", 9),
        (3, 102, "power", 8),
    ]


async def test_what_changes_in_a_status_word_is_an_event(
    store: Store, connection: Connection, meters: list[int]
) -> None:
    meter = meters[0]
    await connection.execute("LISTEN headend_event")
    words = [word(meter, 1, 3, 81), word(meter, 2, 3, 85), word(meter, 2, 85, 86, 127, read_at=2.1), word(meter, 3, 86)]
    assert (await store.write(words[:2], NOW)).events == 4
    assert (await store.write(words[2:], NOW)).events == 4
    assert (await store.write([*words, word(meter, 2.5, 0)], NOW)).events == 0, "late ones tell nothing"
    heard = [notice.channel async for notice in connection.notifies(timeout=0.5)]
    assert heard == ["headend_event"] * 2, "once a transaction that stored events"
    assert await rows(connection, "SELECT at, bits FROM meter_status_word") == [(at(3), [86])]
    told = await rows(
        connection,
        "SELECT extract(hour FROM occurred_at - %s)::int, event, event_hindi, kind FROM event ORDER BY 1, code",
        MIDNIGHT,
    )
    assert [(hour, name, kind) for hour, name, _, kind in told] == [
        (1, "Over voltage", "occurrence"),
        (1, "Magnetic influence", "occurrence"),
        (2, "Over voltage ended", "restoration"),
        (2, "Magnetic influence ended", "restoration"),
        (2, "Last gasp", "single"),
        (2, "First breath", "single"),
        (2, "Unknown status bit 127", "occurrence"),
        (3, "Unknown status bit 127 (bit cleared)", "restoration"),
    ]
    assert told[4][2] == "बिजली जाने की अंतिम सूचना"
    own = StatusWord(meters[1], at(1), (80, 81), "extended-esw")
    await store.write([Finished(Contact(meters[1], at(1)), status_word=own)], NOW)
    assert [name for (name,) in await rows(connection, "SELECT event FROM event WHERE meter = 'm2' ORDER BY code")] == [
        "Magnetic influence",
        "Neutral disturbance",
    ], "as that maker has it"


async def test_committed_events_can_be_followed_without_missing_one(
    store: Store, connection: Connection, pool: Pool, meters: list[int]
) -> None:
    following = (
        "SELECT code FROM meter_event WHERE stored_by >= %s::text::xid8 "
        "AND stored_by < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY stored_by, id"
    )
    async with pool.connection() as other, other.transaction():
        await other.execute("SELECT pg_current_xact_id()")
        await store.write([Finished(Contact(meters[0], at(30)), events=(event(meters[0], 101, 1),))], NOW)
        assert await rows(connection, following, "0") == [], "one that began before may still store some"
    assert await rows(connection, following, "0") == [(101,)]


async def test_values_of_profiles_are_merged_and_shown_in_human_units(
    store: Store, connection: Connection, meters: list[int]
) -> None:
    meter, odd = meters[0], "1/0.0.96.10.2.255/2"

    async def bring(values: dict[str, Value], read_at: float) -> Written:
        return await store.write(
            [Finished(Contact(meter, at(read_at)), profiles=(daily(meter, values, read_at=read_at),))], NOW
        )

    assert await bring({WH: Decimal("12345678901234567890.10"), odd: "hex:00"}, 30) == Written(profiles=1)
    assert await bring({WH: Decimal("12345678901234567890.1")}, 31) == Written(), "the same, and one lacks nothing new"
    assert await bring({WH: Decimal("12345678901234567891")}, 32) == Written(profiles=1, revisions=1)
    assert await bring({WH: Decimal(5), VAH: Decimal("2500")}, 29) == Written(profiles=1, revisions=1), "read before"
    assert await bring({WH: Decimal(5), VAH: Decimal("2500")}, 29) == Written()
    columns = "SELECT local_day::text, kwh_import, kvah_import, kwh_export, others FROM daily_reading"
    assert await rows(connection, columns) == [
        ("2026-01-01", Decimal("12345678901234567.891"), Decimal("2.5"), None, {odd: "hex:00"})
    ]
    assert await rows(
        connection, 'SELECT ("values" -> %s)::text, read_at FROM profile_revision ORDER BY read_at', WH
    ) == [
        ("5", at(29)),
        ("12345678901234567890.10", at(30)),
    ]
    assert await rows(connection, "SELECT due, stored, within_8h FROM meter_day WHERE profile = 'daily_load'") == [
        (1, 1, 1)
    ]


async def test_bills_moments_and_nameplates_have_views(store: Store, connection: Connection, meters: list[int]) -> None:
    def row(profile: str, values: dict[str, Value], units: dict[str, int], hours: float = 30) -> ProfileReading:
        return ProfileReading(meters[0], profile, at(hours), values, units, 0, at(30), Source.SCHEDULED)

    demand = "4/1.0.1.6.0.255"
    await store.write(
        [
            Finished(
                Contact(meters[0], at(30)),
                profiles=(
                    row(
                        "billing",
                        {WH: Decimal(1500), f"{demand}/2": Decimal(900), f"{demand}/5": at(3).isoformat(), "x": True},
                        {WH: 30, f"{demand}/2": 27},
                    ),
                    row("instantaneous", {"3/1.0.12.7.0.255/2": Decimal("230.1"), WH: Decimal(7)}, {WH: 31}),
                    row("nameplate", {"1/0.0.96.1.1.255/2": "Old", "1/0.0.96.1.4.255/2": Decimal(2024)}, {}, 20),
                    row("nameplate", {"1/0.0.96.1.1.255/2": "New", "1/1.0.0.2.0.255/2": "hex:ff"}, {}),
                ),
            )
        ],
        NOW,
    )
    assert await rows(connection, "SELECT kwh_import, max_kw, max_kw_at, others FROM billing_reading") == [
        (Decimal("1.5"), Decimal("0.9"), at(3), {"x": True})
    ]
    assert await rows(connection, "SELECT voltage, kwh_import, others FROM instant_reading") == [
        (Decimal("230.1"), None, {WH: 7})
    ], "a number in another unit is not shown as what it is not"
    assert await rows(connection, "SELECT maker, firmware, made_in FROM nameplate") == [("New", "hex:ff", None)]


async def test_a_meter_that_was_looked_at_is_not_parked_again_by_the_same_failure(
    store: Store, connection: Connection, meters: list[int]
) -> None:
    async def parked() -> list[tuple[Any, ...]]:
        return await rows(connection, "SELECT parked_reason, state FROM meter WHERE id = %s", meters[0])

    wrong = Finished(Contact(meters[0], at(30), "wrong key"), park=True)
    await store.write([wrong, Finished(Contact(meters[0], at(31), "no answer"))], NOW)
    assert await parked() == [("wrong key", "registered")]
    await connection.execute("UPDATE meter SET parked_at = NULL, parked_reason = NULL")
    await store.write([wrong], NOW)
    assert await parked() == [(None, "registered")]
    await store.write([Finished(Contact(meters[0], at(32)))], NOW)
    assert await parked() == [(None, "active")]
    await store.write([replace(wrong, contact=Contact(meters[0], at(33), "wrong key"))], NOW)
    assert await parked() == [("wrong key", "active")]


async def test_many_writers_of_the_same_meters_end_with_the_same_rows(
    store: Store, connection: Connection, meters: list[int], key: int, reading: Reading
) -> None:
    all_of_them = [session(meter, key, reading) for meter in meters]
    shuffled: list[Sequence[Finished]] = []
    for seed in range(8):
        order = all_of_them.copy()
        random.Random(seed).shuffle(order)
        shuffled.append(order)
    written = await asyncio.gather(*(store.write(order, NOW) for order in shuffled))
    assert sum(one.inserted for one in written) == 96 * 20
    assert sum(one.profiles for one in written) == 20
    assert sum(one.events for one in written) == 4 * 20
    assert await rows(connection, "SELECT count(*), count(DISTINCT meter_id) FROM meter_event") == [(80, 20)]


async def test_a_deadlock_is_tried_again(
    store: Store, connection: Connection, meters: list[int], key: int, reading: Reading
) -> None:
    finished = session(meters[0], key, reading)
    await store.write([replace(finished, readings=())], NOW)
    with capture_logs() as logs:
        async with connection.transaction():
            await connection.execute("SET LOCAL deadlock_timeout = '60s'")
            await connection.execute("SELECT FROM meter WHERE id = %s FOR UPDATE", (meters[0],))
            later = replace(finished, contact=Contact(meters[0], at(40)))
            writing = asyncio.create_task(store.write([later], NOW))
            while not await rows(connection, "SELECT FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await connection.execute("SELECT FROM watermark WHERE meter_id = %s FOR UPDATE", (meters[0],))
        assert (await writing).inserted == 96
    assert [line["attempt"] for line in logs if line["event"] == "write_again"] == [1]
