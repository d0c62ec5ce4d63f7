"""The ledger against a plain model of it, slot by slot: whatever is written, in any order, both say the same.

The model thinks in quarters of an hour, one by one. Random histories (a seed each) store rows, cover ranges, change the
meters' periods and commissioning, and let the meters' buffers run over.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

import pytest
from interval_writer import Writer

from drivers.reading import Layout
from headend.store.absence import record_coverage
from headend.store.database import Connection, connect, edition, open_pool
from headend.store.days import count_new, recount_days
from headend.store.finished import Covered
from headend.store.gaps import verify
from headend.store.layouts import save_layouts
from headend.store.ledger import owed
from headend.store.migrate import migrate
from headend.store.rows import MeterIntervals, rows_of
from headend.store.statements import statement
from headend.store.transactions import ensure_partitions
from profiles.loader import load_meter_type

QUARTER = timedelta(minutes=15)
DEPTH_DAYS = 3
PROFILE = replace(load_meter_type("is15959-1ph").profiles["block_load"], depth_days=DEPTH_DAYS)
Reading = Callable[..., MeterIntervals]
ORIGIN = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
"""From which `reading` counts its slots."""


@dataclass
class Model:
    """One meter in quarters from ORIGIN: its period, what it was seen not to have, and what was lost."""

    meter_id: int
    commissioned: int
    period: int = 1
    rows: dict[int, int] = field(default_factory=dict)
    seen: dict[int, datetime] = field(default_factory=dict)
    absent: set[int] = field(default_factory=set)
    expired: set[int] = field(default_factory=set)

    def begin(self, at: float) -> int:
        return int(-(-at // self.period)) * self.period

    def ended(self, at: float) -> int:
        return int(at // self.period) * self.period

    @property
    def stored(self) -> set[int]:
        return self.stored_from(min(self.rows, default=0))

    def stored_from(self, begin: int) -> set[int]:
        return {start + n for start, length in self.rows.items() if start >= begin for n in range(length)}

    def kind(self, slot: int) -> str:
        return "absent" if slot in self.absent else "expired" if slot in self.expired else "owed"

    @property
    def settled(self) -> set[int]:
        return self.stored | self.absent | self.expired

    def owed(self, now: float) -> set[int]:
        lost = self.begin(now - DEPTH_DAYS * 96)
        first = self.begin(self.commissioned)
        self.expired |= set(range(first, min(lost, self.ended(now)))) - self.settled
        return set(range(max(first, lost), self.ended(now))) - self.settled

    def cover(self, start: int, end: int, read_at: datetime, meter_time: float | None) -> None:
        if not self.rows:
            return
        last = max(self.rows)
        reach = meter_time if meter_time is not None else last + self.rows[last]
        until = self.ended(min(end - self.period, last, reach - 4))
        for slot in range(max(self.begin(start) + self.period, self.begin(self.commissioned)), until):
            if slot in self.settled:
                continue
            if slot not in self.seen:
                self.seen[slot] = read_at
            elif read_at - self.seen[slot] >= timedelta(minutes=30):
                self.absent.add(slot)


@dataclass
class World:
    """Meters in a database and in the model, and the time."""

    connection: Connection
    writer: Writer
    reading: Reading
    chance: random.Random
    models: list[Model]
    now: datetime

    @property
    def at(self) -> float:
        return (self.now - ORIGIN) / QUARTER

    async def store(self, model: Model) -> None:
        """Rows of some stretch of the last days, each there or not; now and then of a moment to come."""
        first = model.ended(self.at - self.chance.randrange(5 * 96))
        slots = range(first, min(first + self.chance.choice((2, 20, 150)), model.ended(self.at) + 2), model.period)
        chosen = [slot for slot in slots if self.chance.random() < self.chance.choice((0.5, 0.95))]
        items = [
            self.reading(
                model.meter_id,
                slot // model.period,
                {"voltage": [self.chance.randrange(3)]},
                interval_s=900 * model.period,
                read_at=self.at / 4,
            )
            for slot in chosen
        ]
        if not items:
            return
        if self.chance.random() < 0.5 and not set(chosen) & set(model.rows):
            await self.store_new(model, items)
        else:
            await self.writer.write(items)
            stamps = [ORIGIN + slot * QUARTER for slot in chosen]
            await recount_days(
                self.connection, "block_load", [model.meter_id] * len(stamps), stamps,
                [stamp + QUARTER for stamp in stamps], self.now,
            )  # fmt: skip
        cursor = await self.connection.execute(
            "SELECT ts, interval_s FROM interval_reading WHERE meter_id = %s", (model.meter_id,)
        )
        model.rows = {int((ts - ORIGIN) / QUARTER): length // 900 for ts, length in await cursor.fetchall()}

    async def store_new(self, model: Model, items: list[MeterIntervals]) -> None:
        rows = rows_of(items)
        parameters = {"meters": [model.meter_id], "profile": "block_load"}
        async with self.connection.transaction():
            await self.connection.execute(statement("make_watermarks"), parameters)
            await self.connection.execute(
                "INSERT INTO interval_reading (meter_id, ts, interval_s, read_at, quality, source, voltage) "
                "SELECT %(meter)s, s, %(length)s, %(now)s, 0, 2, 1 FROM unnest(%(starts)b::timestamptz[]) AS s",
                {
                    "meter": model.meter_id,
                    "starts": rows.ts.astype("datetime64[us]"),
                    "length": 900 * model.period,
                    "now": self.now,
                },
            )
            await count_new(self.connection, rows, self.now)
            await self.connection.execute(statement("settle"), parameters)

    async def cover(self, model: Model) -> None:
        """A complete read of what is owed, as the collector asks for it, or of any stretch."""
        known = await owed(self.connection, [model.meter_id], PROFILE, self.now)
        model.owed(self.at)
        if known and self.chance.random() < 0.7:
            start, end = (int((moment - ORIGIN) / QUARTER) for moment in self.chance.choice(known[0].ranges))
        else:
            start = int(self.at) - self.chance.randrange(4 * 96)
            end = start + self.chance.randrange(2, 200)
        meter_time = self.at - self.chance.choice((0, 0, 5)) if self.chance.random() < 0.7 else None
        model.cover(start, end, self.now, meter_time)
        moments = (ORIGIN + start * QUARTER, ORIGIN + end * QUARTER)
        clock = None if meter_time is None else ORIGIN + meter_time * QUARTER
        await record_coverage(
            self.connection, [Covered(model.meter_id, "block_load", *moments, self.now, clock)], self.now
        )

    async def change_period(self, model: Model) -> None:
        model.period = 3 - model.period
        layout = Layout((), {}, 900 * model.period)
        await save_layouts(self.connection, {model.meter_id: layout}, "block_load", self.now)

    async def commission_again(self, model: Model) -> None:
        model.commissioned += self.chance.choice((-40, 8, 30))
        moment = ORIGIN + model.commissioned * QUARTER
        model.seen.clear()
        await self.connection.execute(
            "DELETE FROM absence WHERE proven_at IS NULL AND meter_id = %s", (model.meter_id,)
        )
        await self.connection.execute("DELETE FROM watermark WHERE meter_id = %s", (model.meter_id,))
        await self.connection.execute("UPDATE meter SET commissioned_at = %s WHERE id = %s", (moment, model.meter_id))

    async def check(self, zone: str) -> None:
        found = await owed(
            self.connection, [model.meter_id for model in self.models], PROFILE, self.now, max_ranges=10_000,
            near=timedelta(0),
            margin=False,
        )  # fmt: skip
        ranges = {item.meter_id: item.ranges for item in found}
        for model in self.models:
            slots = {
                slot
                for first, until in ranges.get(model.meter_id, ())
                for slot in range(int((first - ORIGIN) / QUARTER), int((until - ORIGIN) / QUARTER))
            }
            assert slots == model.owed(self.at)
        assert [str(found) async for found in verify(self.connection)] == []
        for model in self.models:
            await self.check_days(model, zone)

    async def check_days(self, model: Model, zone: str) -> None:
        cursor = await self.connection.execute(
            "SELECT day_start(day, %(zone)s), counted_until, due, stored, absent, expired, "
            "day_start(day + 1, %(zone)s), complete_at IS NOT NULL FROM meter_day WHERE meter_id = %(meter)s",
            {"zone": zone, "meter": model.meter_id},
        )
        periods = await self.periods(model)
        begun = model.begin(model.commissioned)
        for first, until, due, stored, absent, expired, day_ends, complete in await cursor.fetchall():
            start, end = max(int((first - ORIGIN) / QUARTER), begun), int((until - ORIGIN) / QUARTER)
            rows = [slot for slot in model.rows if start <= slot and ORIGIN + slot * QUARTER < day_ends]
            assert stored == len(rows)
            covered, tally = model.stored_from(start), {"absent": 0, "expired": 0, "owed": 0}
            kinds = [
                (None if slot in covered else model.kind(slot), next(p for p in periods if slot < p[0]))
                for slot in range(start, end)
            ]
            for (kind, (_, period)), part in groupby(kinds):
                if kind is not None:
                    tally[kind] += -(-len(list(part)) // period)
            assert (absent, expired, due) == (tally["absent"], tally["expired"], stored + sum(tally.values()))
            assert complete == (tally["owed"] == 0 and until == day_ends)

    async def periods(self, model: Model) -> list[tuple[float, int]]:
        """The meter's periods in quarters, each with the quarter before which it holds."""
        cursor = await self.connection.execute(
            "SELECT until, interval_s FROM period_before WHERE meter_id = %s ORDER BY until", (model.meter_id,)
        )
        before = [((until - ORIGIN) / QUARTER, period // 900) for until, period in await cursor.fetchall()]
        return [*before, (float("inf"), model.period)]


@pytest.mark.parametrize(
    ("zone", "begin", "seed"),
    [
        ("Asia/Kolkata", datetime(2026, 1, 5, tzinfo=UTC), 3),
        ("Europe/Berlin", datetime(2026, 3, 27, 5, tzinfo=UTC), 4),
        ("Europe/Berlin", datetime(2026, 10, 23, 5, tzinfo=UTC), 0),
    ],
)
async def test_due_less_stored_absent_and_expired_is_owed_and_the_days_say_so(
    dsn: str, reading: Reading, zone: str, begin: datetime, seed: int
) -> None:
    await migrate(dsn, zone=zone)
    pool = await open_pool(dsn, connections=2)
    async with await connect(dsn) as connection:
        chance = random.Random(f"{zone} {begin} {seed}")
        kind = await edition(connection)
        if kind == "postgresql":
            await ensure_partitions(connection, begin - timedelta(days=20), begin + timedelta(days=20))
        world = World(connection, Writer(pool, kind), reading, chance, [], begin)
        for number in range(4):
            commissioned = (int(world.at) - chance.randrange(5 * 96)) // 2 * 2
            cursor = await connection.execute(
                "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
                "VALUES (%(n)s, %(n)s, '', '', '', %(at)s, 900) RETURNING id",
                {"n": f"m{number}", "at": ORIGIN + commissioned * QUARTER},
            )
            row = await cursor.fetchone()
            assert row is not None
            world.models.append(Model(row[0], commissioned))
        for _ in range(8):
            for model in chance.choices(world.models, k=5):
                act = chance.choices(
                    [world.store, world.cover, world.change_period, world.commission_again], weights=[10, 10, 2, 1]
                )[0]
                await act(model)
            await world.check(zone)
            world.now += timedelta(minutes=chance.choice((10, 40, 180, 1000)), seconds=chance.randrange(60))
    await pool.close()
