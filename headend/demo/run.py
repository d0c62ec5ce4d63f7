"""The demo itself: start, import, collect, compare, show."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from headend.demo.compare import Compared, compare
from headend.demo.servers import DemoDatabase, SimulatedFleet, demo_database, simulated_fleet
from headend.demo.show import Screen
from headend.engine import Engine, engine
from headend.logs import configure_logs
from headend.meter_types import MeterTypes
from headend.registry import import_meters
from headend.settings import Settings, Spool
from headend.store.database import Connection, connect, edition, store_errors
from headend.store.migrate import migrate
from headend.store.statements import statement
from headend.store.status import Completeness, read_status
from headend.times import utc_now
from headend.vault import Vault, create_kek
from headend.waiting import run_async
from profiles.errors import HeadEndError, StoreError

DAYS: Final = 2
PERIOD: Final = timedelta(minutes=15)
MAX_CYCLES: Final = 5
"""A meter that failed is asked again in the next cycle, as by the daemon."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asked for."""

    meters: int
    seed: int
    dsn: str | None
    keep: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Collected:
    """What the collection brought, and what the comparison found."""

    edition: str
    compared: Compared
    seconds: float
    """Of the collection alone."""
    divisions: list[Completeness]
    day: list[tuple[datetime, float]]
    """One meter's last full day: local start and average kW."""
    day_of: str


def run_demo(options: DemoOptions) -> None:
    """Run it; prints to stdout, progress to stderr. Raises HeadEndError, `DifferenceError` among them."""
    configure_logs("warning", "console")
    screen = Screen(quiet=options.as_json)
    until = _floor(utc_now())
    start = until - timedelta(days=DAYS)
    with (
        tempfile.TemporaryDirectory(prefix="headend-demo-") as folder,
        demo_database(options.dsn, options.keep, screen.say) as database,
    ):
        with simulated_fleet(Path(folder), options.meters, options.seed, start, until) as fleet:
            screen.say(f"{fleet.meters} simulated meters answer; the database is {database.shown}")
            collected = run_async(lambda: _collect(Path(folder), fleet, database.dsn, start, until, screen))
        if options.as_json:
            _print_json(options, fleet, collected, database)
        else:
            screen.show(collected, fleet, database.look if options.keep or options.dsn else "")
    if fleet.repeated_counters != 0:
        raise HeadEndError(
            f"the simulator saw invocation counters twice: {fleet.repeated_counters}"
            if fleet.repeated_counters is not None
            else "the simulator did not say whether an invocation counter came twice"
        )


async def _collect(
    folder: Path, fleet: SimulatedFleet, dsn: str, start: datetime, until: datetime, screen: Screen
) -> Collected:
    settings = Settings(spool=Spool(folder=folder / "spool", min_free_mb=0))
    vault, types = Vault(create_kek(folder / "kek")), MeterTypes(settings.meter_types)
    async with await connect(dsn) as connection:
        await _refuse_meters(connection)
        await migrate(dsn, zone=settings.utility.zone)
        lines = fleet.registry.read_text(encoding="utf-8").splitlines()
        await import_meters(connection, lines, types, vault, now=until)
        async with engine(settings, dsn, types, vault, clock=lambda: until) as ready:
            begun = time.monotonic()
            await _cycles(ready, fleet.meters * int((until - start) / PERIOD), screen)
            seconds = time.monotonic() - begun
        compared = await compare(connection, fleet.expect, start, until)
        divisions, _ = await read_status(dsn, start, until)
        name, day = await _last_day(connection, until)
        return Collected(await edition(connection), compared, seconds, divisions, day, name)


async def _cycles(engine: Engine, intervals: int, screen: Screen) -> None:
    """Cycle until nobody fails; more than a few times, and something is wrong."""
    with screen.progress(intervals) as advance:
        engine.collector.on_finished = lambda finished: advance(finished.rows)
        for _ in range(MAX_CYCLES):
            report = await engine.once()
            if not report.failed:
                return
    raise HeadEndError(f"meters still fail after {MAX_CYCLES} cycles: {dict(report.failed)}")


async def _refuse_meters(connection: Connection) -> None:
    """The demo reads every registered meter and puts its own beside them: a database that is in use is left alone."""
    async with store_errors():
        cursor = await connection.execute("SELECT to_regclass('meter') IS NOT NULL")
        if await cursor.fetchone() == (False,):
            return
        cursor = await connection.execute("SELECT EXISTS (SELECT FROM meter)")
        if await cursor.fetchone() == (True,):
            raise StoreError("meters are registered in this database", remedy="give an empty one", retry=False)


async def _last_day(connection: Connection, until: datetime) -> tuple[str, list[tuple[datetime, float]]]:
    """The meter that used the most on the last full local day, and that day's average power by interval."""
    async with store_errors():
        cursor = await connection.execute(statement("busiest_day"), {"until": until})
        rows = await cursor.fetchall()
    return (rows[0][0] if rows else ""), [(local_start, float(kw)) for _, local_start, kw in rows]


def _print_json(options: DemoOptions, fleet: SimulatedFleet, collected: Collected, database: DemoDatabase) -> None:
    document: dict[str, Any] = {
        "meters": options.meters,
        "intervals_expected": collected.compared.expected,
        "intervals_stored": collected.compared.stored,
        "intervals_equal": collected.compared.equal,
        "seconds": round(collected.seconds, 3),
        "intervals_per_second": round(collected.compared.stored / collected.seconds),
        "repeated_counters": fleet.repeated_counters,
        "database": collected.edition,
        "dsn": database.shown,
        "kept": options.keep or options.dsn is not None,
        "stop": database.stop if options.keep else "",
        "divisions": [row._asdict() for row in collected.divisions],
    }
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _floor(moment: datetime) -> datetime:
    return moment - (moment - datetime.min.replace(tzinfo=moment.tzinfo)) % PERIOD
