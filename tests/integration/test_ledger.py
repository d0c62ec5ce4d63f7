"""The ledger on both databases: what is owed, at a `now` that the test chooses."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interval_writer import Writer

import headend.store
from headend.store.database import Connection
from headend.store.ledger import Owed, owed
from headend.store.rows import MeterIntervals
from profiles.loader import load_meter_type
from profiles.meter_type import Profile

Reading = Callable[..., MeterIntervals]
MIDNIGHT = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
"""2026-01-01 00:00 in India: commissioning of every meter here."""
SLOT = timedelta(minutes=15)
PROFILE = replace(load_meter_type("is15959-1ph").profiles["block_load"], depth_days=35)


async def slots_owed(
    connection: Connection, meter: int, now: int, *, profile: Profile = PROFILE, max_ranges: int = 1000, near: int = 0
) -> list[tuple[int, int]]:
    """Ranges that a meter owes at slot `now`, in slots from MIDNIGHT."""
    found = await owed(
        connection, [meter], profile, MIDNIGHT + now * SLOT, max_ranges=max_ranges, near=near * SLOT, margin=False
    )
    assert len(found) <= 1
    ranges = found[0].ranges if found else ()
    return [(int((first - MIDNIGHT) / SLOT), int((until - MIDNIGHT) / SLOT)) for first, until in ranges]


async def test_a_new_meter_owes_everything_since_commissioning(connection: Connection, meters: list[int]) -> None:
    now = MIDNIGHT + timedelta(hours=5, minutes=7)
    assert await owed(connection, [*meters, 999_999], PROFILE, now) == [
        Owed(meter, ((MIDNIGHT, MIDNIGHT + timedelta(hours=5)),)) for meter in meters
    ]


async def test_a_slot_is_owed_when_it_has_ended(connection: Connection, meters: list[int]) -> None:
    end = MIDNIGHT + SLOT
    assert await owed(connection, meters[:1], PROFILE, end - timedelta(microseconds=1)) == []
    assert await owed(connection, meters[:1], PROFILE, end) == [Owed(meters[0], ((MIDNIGHT, end),))]


async def test_a_meter_that_gave_everything_owes_nothing(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meters[0], 0, {"voltage": [1] * 8})])
    assert await slots_owed(connection, meters[0], 8) == []
    assert await slots_owed(connection, meters[0], 9) == [(8, 9)]


async def test_gaps_are_owed_one_by_one(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meters[0], slot, {"voltage": [1]}) for slot in (0, 1, 4, 5, 9)])
    assert await slots_owed(connection, meters[0], 12) == [(2, 4), (6, 9), (10, 12)]


async def test_near_gaps_are_asked_as_one(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meters[0], slot, {"voltage": [1]}) for slot in (1, 3, 4, 5, 7)])
    assert await slots_owed(connection, meters[0], 9, near=1) == [(0, 3), (6, 9)]
    assert await slots_owed(connection, meters[0], 9, near=3) == [(0, 9)]


async def test_gaps_before_stored_rows_are_asked_with_a_slot_more_on_each_side(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meters[0], slot, {"voltage": [1]}) for slot in (*range(4), *range(6, 40), 45)])
    [found] = await owed(connection, meters[:1], PROFILE, MIDNIGHT + 60 * SLOT)
    assert found.ranges == ((MIDNIGHT + 3 * SLOT, MIDNIGHT + 7 * SLOT), (MIDNIGHT + 39 * SLOT, MIDNIGHT + 60 * SLOT))


async def test_of_many_gaps_the_widest_separations_stay(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    stored = [1, *range(3, 10), 11, *range(13, 40), 41]
    await writer.write([reading(meters[0], slot, {"voltage": [1]}) for slot in stored])
    assert await slots_owed(connection, meters[0], 43, max_ranges=1) == [(0, 43)]
    assert await slots_owed(connection, meters[0], 43, max_ranges=2) == [(0, 13), (40, 43)]
    assert await slots_owed(connection, meters[0], 43, max_ranges=3) == [(0, 3), (10, 13), (40, 43)]


async def test_what_the_meter_no_longer_holds_is_not_owed_and_the_watermark_passes_it(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    short = replace(PROFILE, depth_days=1)
    await writer.write([reading(meters[0], 50, {"voltage": [1] * 10})])
    assert await slots_owed(connection, meters[0], 120, profile=short) == [(24, 50), (60, 120)]
    assert await slots_owed(connection, meters[0], 150, profile=short) == [(60, 150)]
    cursor = await connection.execute("SELECT settled FROM watermark WHERE meter_id = %s", (meters[0],))
    assert await cursor.fetchone() == (MIDNIGHT + 60 * SLOT,)
    await writer.write([reading(meters[0], 60, {"voltage": [1] * 90})])
    assert await slots_owed(connection, meters[0], 150, profile=short) == []


async def test_a_shorter_lookback_than_the_depth_wins(connection: Connection, meters: list[int]) -> None:
    now = MIDNIGHT + timedelta(days=10)
    found = await owed(connection, meters[:1], PROFILE, now, lookback=timedelta(days=2))
    assert found == [Owed(meters[0], ((now - timedelta(days=2), now),))]


async def test_a_half_hour_meter_owes_half_hours(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await connection.execute("UPDATE meter SET interval_s = 1800 WHERE id = %s", (meters[0],))
    await writer.write([reading(meters[0], 0, {"voltage": [1, 1]}, interval_s=1800)])
    assert await slots_owed(connection, meters[0], 7) == [(4, 6)]


async def test_intervals_of_the_period_before_leave_no_gaps(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meters[0], 1, {"voltage": [1, 1]}, interval_s=1800)])
    assert await slots_owed(connection, meters[0], 8) == [(0, 2), (6, 8)]


async def test_hours_begin_on_the_hour_of_the_utilitys_zone(connection: Connection, meters: list[int]) -> None:
    await connection.execute(
        "UPDATE meter SET interval_s = 3600, commissioned_at = commissioned_at + '1 minute'::interval"
    )
    assert await slots_owed(connection, meters[0], 13) == [(4, 12)]


async def test_a_meter_before_its_commissioning_owes_nothing(connection: Connection, meters: list[int]) -> None:
    assert await slots_owed(connection, meters[0], -5) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored=st.sets(st.integers(0, 39)), now=st.integers(0, 40), data=st.data())
async def test_what_is_owed_is_due_less_stored(
    writer: Writer,
    connection: Connection,
    meters: list[int],
    reading: Reading,
    stored: set[int],
    now: int,
    data: st.DataObject,
) -> None:
    await connection.execute("TRUNCATE interval_reading, watermark")
    order = data.draw(st.permutations(sorted(stored)))
    for part in (order[: len(order) // 2], order[len(order) // 2 :]):
        await writer.write([reading(meters[0], slot, {"voltage": [1]}) for slot in part])
    ranges = await slots_owed(connection, meters[0], now)
    assert {slot for first, until in ranges for slot in range(first, until)} == set(range(now)) - stored
    few = await slots_owed(connection, meters[0], now, max_ranges=2)
    assert len(few) <= 2
    assert {slot for first, until in few for slot in range(first, until)} >= set(range(now)) - stored
    cursor = await connection.execute("SELECT settled FROM watermark WHERE meter_id = %s", (meters[0],))
    row = await cursor.fetchone()
    first_gap = min(set(range(41)) - stored)
    assert row == (MIDNIGHT + first_gap * SLOT,)


def test_none_of_our_sql_reads_the_databases_clock() -> None:
    statements = list(Path(headend.store.__file__).parent.glob("**/*.sql"))
    assert len(statements) > 20
    clock = re.compile(
        r"\bnow\s*\(|current_(timestamp|date|time)|(clock|statement|transaction)_timestamp|localtime", re.I
    )
    assert [file.name for file in statements if clock.search(file.read_text())] == []
