"""`headend gaps` on both databases: what is missing, by day, division and meter, and a ledger that does not lie."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from interval_writer import Writer
from typer.testing import CliRunner

from headend.cli.main import app
from headend.store.absence import record_coverage
from headend.store.database import Connection, connect
from headend.store.days import recount_days
from headend.store.finished import Covered
from headend.store.gaps import Days, Disagreement, Span, days, spans, verify
from headend.store.ledger import owed
from headend.store.migrate import migrate
from headend.store.rows import MeterIntervals
from profiles.loader import load_meter_type

MIDNIGHT = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
SLOT = timedelta(minutes=15)
DAY = date(2026, 1, 1)
Reading = Callable[..., MeterIntervals]


def at(slot: int) -> str:
    return (MIDNIGHT + slot * SLOT).isoformat()


@pytest.fixture
async def day(writer: Writer, connection: Connection, meters: list[int], reading: Reading) -> list[int]:
    """The first meter has its first day but for two slots and one at its end; the second one nothing."""
    await writer.write(
        [
            reading(meters[0], 0, {"voltage": [1] * 40}, read_at=10),
            reading(meters[0], 42, {"voltage": [1] * 53}, read_at=24),
        ]
    )
    await recount_days(connection, "block_load", meters[:1], [MIDNIGHT], [MIDNIGHT + 95 * SLOT], MIDNIGHT + 96 * SLOT)
    return meters


async def prove_absent(connection: Connection, meter: int) -> None:
    for slot in (97, 100):
        now = MIDNIGHT + slot * SLOT
        covered = Covered(meter, "block_load", MIDNIGHT + 39 * SLOT, MIDNIGHT + 43 * SLOT, now, now)
        await record_coverage(connection, [covered], now)


async def test_a_days_figures_add_up_and_a_silent_meter_owes_all_of_it(connection: Connection, day: list[int]) -> None:
    now = MIDNIGHT + 97 * SLOT
    [first, second] = await days(connection, "division", DAY, DAY, now)
    assert first == Days("division 0", 10, 960, 0, 0, 0, 0, 0)
    assert second == Days("division 1", 10, 960, 93, 0, 0, 65, 93)
    assert second.owed == 867
    assert await days(connection, "meter", DAY, DAY, now, division="division 1", limit=2) == [
        Days("m11", 1, 96, 0, 0, 0, 0, 0),
        Days("m13", 1, 96, 0, 0, 0, 0, 0),
    ]
    assert await days(connection, "day", DAY, DAY + timedelta(days=3), now, meter="m1") == [
        Days("2026-01-01", 1, 96, 93, 0, 0, 65, 93),
        Days("2026-01-02", 1, 1, 0, 0, 0, 0, 0),
    ]


async def test_gaps_of_a_meter_are_owed_seen_missing_then_absent_and_stored_when_they_come_after_all(
    writer: Writer, connection: Connection, day: list[int], reading: Reading
) -> None:
    gap = (MIDNIGHT + 40 * SLOT, MIDNIGHT + 42 * SLOT)
    end = Span("owed", MIDNIGHT + 95 * SLOT, MIDNIGHT + 96 * SLOT)
    assert await spans(connection, "m1", MIDNIGHT + 96 * SLOT) == [end, Span("owed", *gap)]
    await prove_absent(connection, day[0])
    assert await spans(connection, "m1", MIDNIGHT + 96 * SLOT) == [end, Span("absent", *gap)]
    cursor = await connection.execute("SELECT settled FROM watermark WHERE meter_id = %s", (day[0],))
    assert await cursor.fetchone() == (MIDNIGHT + 95 * SLOT,)
    now = MIDNIGHT + 101 * SLOT
    assert [row[2:6] for row in await days(connection, "day", DAY, DAY, now, meter="m1")] == [(96, 93, 2, 0)]
    await writer.write([reading(day[0], 40, {"voltage": [1]}, read_at=30)])
    await recount_days(connection, "block_load", day[:1], [gap[0]], [gap[1]], now)
    assert [row[2:6] for row in await days(connection, "day", DAY, DAY, now, meter="m1")] == [(96, 94, 1, 0)]
    assert [found async for found in verify(connection)] == []


async def test_one_read_or_two_in_a_row_prove_nothing(connection: Connection, day: list[int]) -> None:
    for minutes in (0, 29):
        now = MIDNIGHT + 97 * SLOT + timedelta(minutes=minutes)
        await record_coverage(connection, [Covered(day[0], "block_load", MIDNIGHT, now, now, now)], now)
    cursor = await connection.execute("SELECT starts, ends, proven_at FROM absence")
    assert await cursor.fetchall() == [(MIDNIGHT + 40 * SLOT, MIDNIGHT + 42 * SLOT, None)]


@pytest.mark.parametrize(
    ("start", "end", "clock"), [(40, 43, 100), (39, 42, 100), (39, 43, 45), (39, 43, -500), (94, 98, 120)]
)
async def test_no_absence_without_margin_an_hour_by_the_meters_clock_and_a_later_row(
    connection: Connection, day: list[int], start: int, end: int, clock: int
) -> None:
    """The gap of slots 40 and 41 ended at 42 by the clock of the meter; that of slot 95 has no row after it."""
    for slot in (130, 140):
        now = MIDNIGHT + slot * SLOT
        first, until, said = (MIDNIGHT + number * SLOT for number in (start, end, clock))
        await record_coverage(connection, [Covered(day[0], "block_load", first, until, now, said)], now)
    cursor = await connection.execute("SELECT starts, ends FROM absence WHERE proven_at IS NOT NULL")
    proven = {
        slot for starts, ends in await cursor.fetchall()
        for slot in range(int((starts - MIDNIGHT) / SLOT), int((ends - MIDNIGHT) / SLOT))
    }  # fmt: skip
    assert proven == {(40, 43, 100): {41}, (39, 42, 100): {40}, (39, 43, 45): {40}}.get((start, end, clock), set())


@pytest.mark.parametrize(
    ("tampering", "kept", "counted"),
    [
        ("UPDATE meter_day SET stored = stored - 1", {"stored": 92}, {"stored": 93}),
        ("UPDATE meter_day SET absent = 3, due = 97", {"due": 97, "absent": 3}, {"due": 96, "absent": 0}),
        ("UPDATE meter_day SET within_8h = 93", {"within_8h": 93}, {"within_8h": 65}),
        ("UPDATE meter_day SET complete_at = counted_until", {"complete": True}, {"complete": False}),
        ("UPDATE watermark SET settled = settled + INTERVAL '1 hour'", {"settled": at(44)}, {"settled": at(40)}),
        ("UPDATE watermark SET settled = settled - INTERVAL '1 hour'", {"settled": at(36)}, {"settled": at(40)}),
        ("DELETE FROM interval_reading WHERE ts >= '2026-01-01 18:00Z'", {"stored": 93}, {"stored": 92}),
        ("DELETE FROM meter_day", None, {"due": 95, "stored": 93}),
    ],
)
async def test_whatever_is_tampered_with_is_named(
    connection: Connection, day: list[int], tampering: str, kept: dict[str, Any] | None, counted: dict[str, Any]
) -> None:
    assert [found async for found in verify(connection)] == []
    await connection.execute(tampering.encode())
    [found] = [found async for found in verify(connection)]
    assert (found.meter, found.profile) == ("m1", "block_load")
    assert found.day == (None if "watermark" in tampering else DAY)
    assert found.counted is not None
    assert found.counted.items() >= counted.items()
    assert (found.kept is None) == (kept is None)
    assert (found.kept or {}).items() >= (kept or {}).items()


def test_the_command_shows_and_verifies(dsn: str, day: list[int]) -> None:
    def gaps(*arguments: str, exit_code: int = 0) -> str:
        done = CliRunner().invoke(app, ["gaps", "--dsn", dsn, *arguments])
        assert done.exit_code == exit_code
        return done.stdout

    shown = json.loads(gaps("--meter", "s1", "--day", "2026-01-01", "--json"))
    [row] = shown["rows"]
    assert (row["day"], row["due"], row["stored"], row["owed"]) == ("2026-01-01", 96, 93, 3)
    assert shown["gaps"][-1] == {"kind": "owed", "from": "2026-01-01T04:30:00+00:00", "to": "2026-01-01T05:00:00+00:00"}
    assert "2026-01-01 10:00" in gaps("--meter", "m1", "--day", "2026-01-01")
    assert "division 0" in gaps("--day", "2026-01-01")
    assert gaps("--verify") == "the ledger agrees with its rows\n"

    async def tamper() -> None:
        async with await connect(dsn) as connection:
            await connection.execute("UPDATE meter_day SET due = 500")

    asyncio.run(tamper())
    assert gaps("--verify", exit_code=1) == "m1: block_load, day 2026-01-01: kept due 500, counted due 96\n"


async def test_the_service_level_counts_meters_that_said_nothing(connection: Connection, day: list[int]) -> None:
    cursor = await connection.execute(
        "SELECT day, division, meters, due, stored, percent_within_8h, percent_within_24h FROM sla_day "
        "ORDER BY division"
    )
    rows = [(*row[:5], float(row[5]), float(row[6])) for row in await cursor.fetchall()]
    assert rows == [
        (DAY, "division 0", 10, 960, 0, 0.0, 0.0),
        (DAY, "division 1", 10, 960, 93, 6.77, 9.69),
    ]
    cursor = await connection.execute("SELECT count(*) FROM owed_interval(%s)", (MIDNIGHT + 96 * SLOT,))
    assert await cursor.fetchone() == (21,)


async def test_a_retired_meter_owes_nothing_from_then_on(connection: Connection, day: list[int]) -> None:
    retired = MIDNIGHT + 80 * SLOT
    await connection.execute("UPDATE meter SET state = 'retired', retired_at = %s WHERE id = %s", (retired, day[1]))
    now = MIDNIGHT + 300 * SLOT
    found = await days(connection, "day", DAY, DAY + timedelta(days=2), now, meter="m2")
    assert found == [Days("2026-01-01", 1, 80, 0, 0, 0, 0, 0)]
    assert await spans(connection, "m2", now) == [Span("owed", MIDNIGHT, retired)]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Europe/Berlin"])
async def test_days_of_the_daily_load_are_owed_absent_and_lost_like_intervals(
    dsn: str, connection: Connection, meters: list[int], zone: str
) -> None:
    """Six days around the change to summer time; the fourth, which has 23 hours in Berlin, is never recorded."""
    await migrate(dsn, zone=zone)
    daily = replace(load_meter_type("is15959-1ph").profiles["daily_load"], depth_days=7)

    def midnight(number: int) -> datetime:
        return datetime(2026, 3, 26, tzinfo=ZoneInfo(zone)) + timedelta(days=number)

    async def owes(number: int, *, hours: int = 1, margin: bool = False) -> list[tuple[float, ...]]:
        now = midnight(number).astimezone(UTC) + timedelta(hours=hours)
        found = await owed(connection, meters[:1], daily, now, margin=margin, near=timedelta(0))
        first = midnight(0).replace(tzinfo=None)
        return [
            tuple((at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - first) / timedelta(days=1) for at in span)
            for item in found for span in item.ranges
        ]  # fmt: skip

    await connection.execute("UPDATE meter SET commissioned_at = %s", (midnight(0) - timedelta(hours=5),))
    assert await owes(0) == []
    assert await owes(6, hours=-1) == [(0, 5)]
    assert await owes(6) == [(0, 6)]
    for number in (0, 1, 2, 4, 5):
        await connection.execute(
            "INSERT INTO profile_reading (meter_id, profile, ts, read_at, source, quality, values, units) "
            "VALUES (%s, 'daily_load', %s, %s, 2, 0, '{}', '{}')",
            (meters[0], midnight(number), midnight(number + 1) + timedelta(hours=10)),
        )
    now = midnight(6) + timedelta(hours=2)
    await recount_days(connection, "daily_load", meters[:1], [midnight(0)], [midnight(6)], now)
    assert await owes(6) == [(3, 4)]
    assert await owes(6, margin=True) == [(2, 5)]
    for hours in (2, 3):
        at = midnight(6) + timedelta(hours=hours)
        await record_coverage(connection, [Covered(meters[0], "daily_load", midnight(2), midnight(5), at, None)], at)
    assert await owes(6) == []
    figures = [
        row[2:]
        for row in await days(
            connection, "day", date(2026, 3, 26), date(2026, 4, 2), now, profile="daily_load", meter="m1"
        )
    ]
    whole = (1, 1, 0, 0, 0, 1)
    assert figures == [whole, whole, whole, (1, 0, 1, 0, 0, 0), whole, whole]
    assert await owes(20) == [(14, 20)]
    [lost] = await days(
        connection,
        "division",
        date(2026, 4, 1),
        date(2026, 4, 8),
        midnight(20),
        profile="daily_load",
        division="division 1",
    )
    assert (lost.due, lost.expired) == (8, 8)
    assert [found async for found in verify(connection)] == []


def test_a_disagreement_says_what_was_kept_and_what_was_counted() -> None:
    found = Disagreement("m7", "daily_load", None, {"settled": "a"}, {"settled": "b"})
    assert str(found) == "m7: daily_load, watermark: kept settled a, counted settled b"
