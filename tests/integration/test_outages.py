"""Outages from stored events: where and how long there was no power, in whatever order the news come."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from conftest import MIDNIGHT
from typer.testing import CliRunner

from headend.cli.main import app
from headend.outages.correlator import Correlator, correlate
from headend.settings import Outages
from headend.store.database import Connection, Pool, connect
from headend.store.events import BIT_SET, write_events
from headend.store.finished import MeterEvent
from headend.store.rows import Source
from profiles.events import FIRST_BREATH, LAST_GASP

GASP, BREATH, FAILED, RESTORED = BIT_SET + LAST_GASP, BIT_SET + FIRST_BREATH, 101, 102
NOON = MIDNIGHT + timedelta(hours=12)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


class Grid:
    """20 meters: 5 transformers of 4 on two feeders, the last transformer's meters at none that is known."""

    def __init__(self, connection: Connection, meters: Sequence[int]) -> None:
        self.connection, self.meters = connection, meters
        self.correlator = Correlator(connection)
        self.settings = Outages()

    async def install(self) -> None:
        await self.connection.execute(
            "INSERT INTO installation (meter_id, installed_at, division, feeder, transformer) "
            "SELECT id, %s, 'north', 'F' || nth / 8, 'T' || nth / 4 "
            "FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS nth FROM meter) m WHERE nth < 16",
            (MIDNIGHT,),
        )

    async def told(self, *events: tuple[int, int, float], seen: float | None = None) -> None:
        """(meter by place, code, minutes) each, as one transaction."""
        found = [
            MeterEvent(self.meters[meter], "power", code, at(when), 0, None, {}, 0, at(seen or when), Source.PUSH)
            for meter, code, when in events
        ]
        async with self.connection.transaction():
            await write_events(self.connection, found, [])

    async def look(self, minutes: float) -> list[tuple[Any, ...]]:
        """Kind, feeder, transformer, meters, still off, open and minutes of each outage, in order of time."""
        await self.correlator.look(self.settings, at(minutes))
        cursor = await self.connection.execute(
            "SELECT kind, feeder, transformer, meters, still_off, open, minutes::float FROM power_outage "
            "ORDER BY began_at, transformer DESC, meter"
        )
        return await cursor.fetchall()

    async def meter(self, meter: int) -> list[tuple[Any, ...]]:
        """Off, on (minutes) and evidence of a meter's times."""
        cursor = await self.connection.execute(
            "SELECT extract(epoch FROM off_at - %(noon)s)::float / 60, "
            "extract(epoch FROM on_at - %(noon)s)::float / 60, "
            "evidence_text(evidence) FROM outage_meter WHERE meter_id = %(meter)s ORDER BY off_at",
            {"noon": NOON, "meter": self.meters[meter]},
        )
        return await cursor.fetchall()


@pytest.fixture
async def grid(connection: Connection, meters: list[int]) -> Grid:
    grid = Grid(connection, meters)
    await grid.install()
    return grid


async def test_a_last_gasp_opens_an_outage_that_grows_and_closes_when_all_have_power_again(grid: Grid) -> None:
    await grid.told((0, GASP, 0))
    assert await grid.look(0.1) == [("meter", "F0", "T0", 1, 1, True, None)]
    await grid.told((1, GASP, 0.2), (2, GASP, 0.3), (0, GASP, 0.4))
    assert await grid.look(0.5) == [("transformer", "F0", "T0", 3, 3, True, None)]
    await grid.told((0, BREATH, 30), (1, RESTORED, 30))
    assert await grid.look(31) == [("transformer", "F0", "T0", 3, 1, True, None)]
    await grid.connection.execute("INSERT INTO segment (name) VALUES ('s')")
    await grid.connection.execute("UPDATE meter SET segment_id = (SELECT id FROM segment WHERE name = 's')")
    await grid.connection.execute(
        "INSERT INTO schedule SELECT id, task, %s FROM segment, unnest('{block_load,billing}'::text[]) AS task",
        (at(600),),
    )
    await grid.told((2, BREATH, 45), (1, BREATH, 45))
    assert await grid.look(46) == [("transformer", "F0", "T0", 3, 0, False, 45.0)]
    assert await grid.meter(0) == [(0, 30, "last gasp, first breath")]
    assert await grid.meter(1) == [(0.2, 30, "last gasp, power restored, first breath")]
    cursor = await grid.connection.execute("SELECT task FROM schedule")
    assert await cursor.fetchall() == [("billing",)], "blocks are due now"
    cursor = await grid.connection.execute("SELECT meter_minutes::float FROM power_outage")
    assert await cursor.fetchone() == (pytest.approx(30 + 29.8 + 44.7),)


async def test_the_command_shows_outages_and_their_places(grid: Grid, dsn: str) -> None:
    await grid.told(*((meter, GASP, 0) for meter in range(3)), (8, FAILED, -1500), (8, RESTORED, -1490))
    await grid.look(1)

    async def shown(*options: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["outages", "--dsn", dsn, *options])
        assert result.exit_code == 0, result.output
        return result.output

    (one,) = json.loads(await shown("--open", "--json"))
    assert (one["kind"], one["transformer"], one["meters"], one["local_end"]) == ("transformer", "T0", 3, None)
    assert one["local_begin"] == "2026-01-01T12:00:00"
    (old,) = json.loads(await shown("--day", "2025-12-31", "--json"))
    assert (old["kind"], old["meter"], old["minutes"], old["meter_minutes"]) == ("meter", "m9", 10, 10)
    text = await shown()
    assert "goes on" in text
    assert re.search(r"meter +m9 +north +2025-12-31 11:00:00 +2025-12-31 11:10:00 +1 +0 +10.0", text)
    assert await shown("--day", "2025-12-01") == "no outage is known\n"


async def test_transformers_that_lose_power_together_are_one_outage_of_their_feeder(grid: Grid) -> None:
    await grid.told(*((meter, GASP, 0.1 * meter) for meter in range(3)))
    assert [row[:3] for row in await grid.look(1)] == [("transformer", "F0", "T0")]
    await grid.told(*((meter, GASP, 1) for meter in range(4, 7)), *((meter, GASP, 1) for meter in (9, 16)))
    assert await grid.look(2) == [
        ("feeder", "F0", "", 6, 6, True, None),
        ("meter", "F1", "T2", 1, 1, True, None),
        ("meter", "", "", 1, 1, True, None),
    ]
    await grid.told((7, GASP, 3))
    assert (await grid.look(3.1))[0] == ("feeder", "F0", "", 7, 7, True, None), "a late one joins it"
    await grid.told(*((meter, RESTORED, 60) for meter in (*range(7), 7, 9, 16)))
    assert [row[4:6] for row in await grid.look(61)] == [(0, False)] * 3


async def test_late_and_repeated_news_in_any_order_tell_the_same(grid: Grid) -> None:
    await grid.told((0, BREATH, 10), seen=10)
    assert await grid.look(10.1) == [], "power back without having gone says nothing"
    await grid.told((0, GASP, 10.2), seen=10.2)
    assert await grid.look(10.3) == [], "a gasp just after the breath was late"
    await grid.told((0, RESTORED, 9.9), (0, FAILED, 0), (0, RESTORED, -99), seen=200)
    assert await grid.look(200) == [("meter", "F0", "T0", 1, 0, False, 9.9)]
    await grid.told((1, GASP, 1), (1, FAILED, 1), (2, FAILED, 0.5), seen=201)
    assert await grid.look(201) == [("transformer", "F0", "T0", 3, 2, True, None)], "it goes on after all"
    await grid.told((1, RESTORED, 9), (2, RESTORED, 9), (2, FAILED, 30), (2, RESTORED, 50), seen=300)
    assert await grid.look(300) == [
        ("transformer", "F0", "T0", 3, 0, False, 9.9),
        ("meter", "F0", "T0", 1, 0, False, 20.0),
    ]
    before = [await grid.meter(meter) for meter in range(3)]
    await grid.connection.execute("UPDATE outage_mark SET followed = '0'")
    assert len(await grid.look(301)) == 2
    assert before == [await grid.meter(meter) for meter in range(3)], "all of it again changes nothing"
    await grid.told((3, FAILED, -60 * 100), seen=302)
    assert len(await grid.look(302)) == 2, "too old to be looked into"


async def test_an_event_of_a_transaction_that_ends_late_is_not_missed(grid: Grid, dsn: str) -> None:
    await grid.told((12, RESTORED, -1))  # so that there is a chunk, which other transactions would wait for
    other = await connect(dsn)
    async with other:
        slow = Grid(other, grid.meters)
        async with other.transaction():
            await slow.told((8, GASP, 0))
            await grid.told((0, GASP, 1))
            assert [row[2] for row in await grid.look(1.1)] == ["T0"]
            await grid.told((4, GASP, 2))
            assert [row[2] for row in await grid.look(2.1)] == ["T0", "T1"]
        assert [row[2] for row in await grid.look(2.2)] == ["T2", "T0", "T1"]


async def test_silent_neighbours_are_off_too_and_who_answers_is_on(grid: Grid) -> None:
    await grid.connection.execute("UPDATE meter SET last_contact = %s, last_error_at = %s", (at(-5), at(-50)))
    await grid.told(*((meter, GASP, 0) for meter in range(3)))
    assert (await grid.look(0.1))[0][3:5] == (3, 3)
    failed = "UPDATE meter SET last_error_at = %s, last_error = 'no answer' WHERE id = ANY (%s)"
    await grid.connection.execute(failed, (at(6), [grid.meters[3], grid.meters[5]]))
    assert await grid.look(7) == [("transformer", "F0", "T0", 4, 4, True, None)]
    assert await grid.meter(3) == [(0, None, "did not answer")]
    answers = "UPDATE meter SET last_contact = %s WHERE id = %s"
    await grid.connection.execute(answers, (at(1), grid.meters[0]))
    assert (await grid.look(8))[0][3:5] == (4, 4), "its last gasp was a contact as well"
    await grid.connection.execute(answers, (at(20), grid.meters[0]))
    assert (await grid.look(20))[0][3:5] == (4, 3)
    await grid.told((1, RESTORED, 21), (2, RESTORED, 22))
    assert await grid.look(23) == [("transformer", "F0", "T0", 4, 0, False, 22.0)]
    assert await grid.meter(0) == [(0, 20, "last gasp, answered")]
    assert await grid.meter(3) == [(0, 22, "did not answer, presumed")], "one that is only silent keeps none open"
    await grid.told((0, RESTORED, 15), seen=40)
    await grid.look(40)
    assert await grid.meter(0) == [(0, 15, "last gasp, power restored, answered")], "its log knows better"


async def test_what_is_off_for_too_long_or_retired_is_no_longer_counted(grid: Grid) -> None:
    await grid.told((0, GASP, 0), (17, FAILED, 0))
    assert len(await grid.look(1)) == 2
    await grid.connection.execute(
        "UPDATE meter SET state = 'retired', retired_at = %s WHERE id = %s", (at(30), grid.meters[17])
    )
    assert [row[4:] for row in await grid.look(31)] == [(1, True, None), (0, False, 30.0)]
    days = 60 * 24 * 8
    assert [row[5] for row in await grid.look(days)] == [False, False]
    assert await grid.meter(0) == [(0, days, "last gasp, presumed")]


async def test_a_storm_of_thousands_is_correlated_by_one_and_the_next_goes_on(grid: Grid, dsn: str, pool: Pool) -> None:
    cursor = await grid.connection.execute(
        "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
        "SELECT 'x' || i, 'x' || i, 'tcp://127.0.0.1', 'is15959-1ph', 'south', %s, 900 FROM generate_series(1, 4000) i "
        "RETURNING id",
        (MIDNIGHT,),
    )
    many = [meter for (meter,) in await cursor.fetchall()]
    await grid.connection.execute(
        "INSERT INTO installation (meter_id, installed_at, division, feeder, transformer) "
        "SELECT id, %s, 'south', 'S' || mod(id, 4), 'ST' || mod(id, 40) FROM meter WHERE division = 'south'",
        (MIDNIGHT,),
    )
    storm = Grid(grid.connection, many)
    alone = [asyncio.create_task(correlate(dsn, Outages, lambda: at(2))) for _ in range(2)]
    try:
        async with asyncio.timeout(30):
            await storm.told(*((place, GASP, place / 4000) for place in range(4000)))
            await _until(
                grid, "SELECT count(*), sum(meters) FROM power_outage WHERE open AND kind = 'feeder'", (4, 4000)
            )
            holders = (
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 18502 AND granted AND database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            ((holder,),) = await (await grid.connection.execute(holders)).fetchall()
            await grid.connection.execute("SELECT pg_terminate_backend(%s)", (holder,))
            await storm.told(*((place, BREATH, 1 + place / 4000) for place in range(4000)))
            await _until(grid, "SELECT count(*), sum(meter_minutes)::int FROM power_outage WHERE NOT open", (4, 4000))
    finally:
        for task in alone:
            task.cancel()
        ended = await asyncio.gather(*alone, return_exceptions=True)
    assert sum(type(one).__name__ == "StoreError" for one in ended) == 1


async def _until(grid: Grid, question: str, answer: tuple[int, int]) -> None:
    while await (await grid.connection.execute(question)).fetchone() != answer:  # noqa: ASYNC110 - a row, no event
        await asyncio.sleep(0.1)
