"""Meters of any type in a world where things happen, and collectors that ask them for everything.

`town(dsn, meter_type)` serves two and registers them; what each was asked for is counted by `asked`.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, redirect_stderr
from datetime import datetime, timedelta
from typing import Any

import structlog
from field import Field
from types_place import COMMISSIONED, NOW, world_of

from headend.collection.planning import Wanted
from headend.collection.report import Report
from headend.collection.tasks import TASKS, Task
from headend.logs import configure_logs
from headend.meter_types import MeterTypes
from headend.registry import import_meters
from headend.store.database import connect
from profiles.meter_type import MeterType
from profiles.objects import Obis
from simulators.expect import AnswerKey, Said
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.objects import Attribute, CosemObject
from simulators.registers import Maker, maker_of
from simulators.server import MeterServer

EVERYTHING = frozenset(TASKS)


class WatchedMeter(SimulatedMeter):
    """Counts which attributes are read of it, and how many APDUs come. Tells of another firmware once told to."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.asked: Counter[tuple[int, str, int]] = Counter()
        """By class, OBIS code and attribute."""
        self.apdus = 0
        self.objects = {obis: self._watched(obis, each) for obis, each in self.objects.items()}

    def advance(self) -> None:
        self.apdus += 1
        super().advance()

    def forget(self) -> None:
        self.asked.clear()
        self.apdus = 0

    def _watched(self, obis: Obis, of: CosemObject) -> CosemObject:
        attributes = {
            number: self._counted((of.class_id, str(obis), number), one) for number, one in of.attributes.items()
        }
        return CosemObject(of.class_id, attributes, of.methods, of.version, of.public, of.owner)

    def _counted(self, key: tuple[int, str, int], one: Attribute) -> Attribute:
        def read(meter: Any, association: Any) -> bytes:
            self.asked[key] += 1
            assert one.read is not None
            return one.read(meter, association)

        def select(meter: Any, association: Any, *selection: Any) -> bytes:
            self.asked[key] += 1
            assert one.select is not None
            return one.select(meter, association, *selection)

        return Attribute(
            read if one.read is not None else None,
            one.write,
            select if one.select is not None else None,
            one.selectors,
        )


class Town(Field):
    """Meters of one type in its world."""

    def __init__(self, dsn: str, fleet: Fleet, connection: Any, log: io.StringIO, meter_type: MeterType) -> None:
        super().__init__(dsn, fleet, connection, log)
        self.now = NOW
        self.meter_type = meter_type
        self.types = MeterTypes()
        self.world = world_of(fleet, meter_type)

    async def open(self, make: Callable[..., SimulatedMeter], listed_as: str) -> None:
        meters = simulated_meters(self.fleet, self.meter_type, self.clock, make, world=self.world)
        self.server = MeterServer(meters)
        await self.server.start()
        text = io.StringIO()
        self.fleet.write_registry(text, port=self.server.port, meter_type=listed_as)
        for row in csv.DictReader(io.StringIO(text.getvalue())):
            for column in ("encryption_key", "authentication_key"):
                self.secrets.append(bytes.fromhex(row[column]))
        await import_meters(self.connection, text.getvalue().splitlines(), self.types, self.vault, now=self.now)

    async def visit(self, tasks: Iterable[Task] = EVERYTHING, **settings: Any) -> Report:
        """Ask all meters of all segments for this, by a collector of its own, a moment after the last."""
        self.now += timedelta(milliseconds=1)
        report = Report()
        async with self.collector(**settings) as collector:
            for row in await self.ask("SELECT id FROM segment ORDER BY id"):
                report += await collector.collector.collect(row["id"], Wanted(frozenset(tasks)))
        return report

    def watched(self, index: int = 0) -> WatchedMeter:
        meter = self.meters[index]
        assert isinstance(meter, WatchedMeter)
        return meter

    def said(self, index: int, profile: str, until: datetime | None = None) -> Said:
        """The answer key of all that there is; of blocks those that ended."""
        of = self.meter_type.profiles[profile]
        until = until or self.now
        if of.kind == "block_load":
            until -= timedelta(seconds=of.capture_period_s - 60)
        key = AnswerKey(self.fleet, self.meter_type, self.world)
        return key.said(self.fleet.identity(index), of, self.fleet.commissioned_at, until)


@asynccontextmanager
async def town(
    dsn: str,
    meter_type: MeterType,
    meters: int = 2,
    *,
    make: Callable[..., SimulatedMeter] = WatchedMeter,
    listed_as: str = "",
    makers: Callable[[int], Maker] = maker_of,
    commissioned_at: datetime = COMMISSIONED,
) -> AsyncIterator[Town]:
    """`listed_as`: the meter type in the meter list, where the meters are of another, or one with quirks."""
    log = io.StringIO()
    fleet = Fleet(7, meters, {"Bhopal city": 1}, commissioned_at, makers=makers)
    with redirect_stderr(log):
        configure_logs("debug", "json")
        try:
            async with await connect(dsn) as connection:
                place = Town(dsn, fleet, connection, log, meter_type)
                try:
                    await place.open(make, listed_as or meter_type.name)
                    yield place
                    await place.check()
                finally:
                    await place.server.close()
        finally:
            structlog.reset_defaults()
