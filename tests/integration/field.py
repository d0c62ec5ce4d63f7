"""Meters in the field: simulated ones on a real socket, registered in a real database, and collectors over them.

However a test ends well, it has also shown that no invocation counter came twice, that no secret stands in a log, an
error or the database, that nothing broke in us or in the simulator, and that no connection was left open.
"""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import secrets
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from psycopg.rows import dict_row

from headend.collection.collector import Collector
from headend.collection.planning import Wanted
from headend.collection.report import Report
from headend.engine import Engine, engine
from headend.logs import configure_logs
from headend.registry import import_meters
from headend.settings import Collection, Settings, Spool
from headend.store.database import Connection, borrow, connect
from headend.store.writer import Written
from headend.vault import Kek, Vault
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType
from simulators.expect import CHANNELS, write_expected
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.server import MeterServer

COMMISSIONED = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
"""2026-01-02 00:00 in India."""
NOW = datetime(2026, 1, 2, 18, 37, 30, tzinfo=UTC)
DUE = 96
"""Intervals that have ended by then."""
METER_TYPE = load_meter_type("is15959-1ph")
TYPES = {METER_TYPE.name: METER_TYPE}

Make = Callable[..., SimulatedMeter]


@dataclass(frozen=True)
class Cycle:
    """How one went, and what it changed in the store."""

    report: Report
    written: Written

    @property
    def meters(self) -> int:
        return self.report.meters

    @property
    def answered(self) -> int:
        return self.report.answered

    @property
    def failed(self) -> Counter[str]:
        return self.report.failed


class FieldCollector:
    """Collects the block load of every segment, without the job engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def collector(self) -> Collector:
        return self.engine.collector

    def stop(self) -> None:
        self.engine.collector.stop()

    async def cycle(self) -> Cycle:
        """All segments, one after the other. Raises StoreError."""
        before, report = self.engine.intake.written, Report()
        async with borrow(self.engine.pool) as connection:
            cursor = await connection.execute("SELECT id FROM segment ORDER BY id")
            segments = [segment for (segment,) in await cursor.fetchall()]
        for segment in segments:
            report += await self.engine.collector.collect(segment, Wanted(frozenset({"block_load"})))
        after = self.engine.intake.written
        return Cycle(report, Written(*(getattr(after, name) - getattr(before, name) for name in Written.__slots__)))


class Field:
    """`count` meters of which some may be odd; meter 0, 1, … in the order of the fleet and of the registry."""

    def __init__(self, dsn: str, fleet: Fleet, connection: Connection, log: io.StringIO) -> None:
        self.dsn = dsn
        self.fleet = fleet
        self.connection = connection
        self.now = NOW
        self.types: Mapping[str, MeterType] = TYPES
        self._log = log
        self.kek = secrets.token_bytes(32)
        self.vault = Vault(Kek(self.kek))
        self.server = MeterServer({})
        self.secrets: list[bytes] = [self.kek]

    def clock(self) -> datetime:
        return self.now

    @property
    def meters(self) -> list[SimulatedMeter]:
        return list(self.server.meters.values())

    def name(self, index: int) -> str:
        return self.fleet.identity(index).name

    async def serve(self, odd: Mapping[int, Make]) -> None:
        made = iter(range(len(self.fleet)))
        meters = simulated_meters(
            self.fleet, METER_TYPE, self.clock, lambda *args, **more: odd.get(next(made), SimulatedMeter)(*args, **more)
        )
        self.server = MeterServer(meters)
        await self.server.start()

    async def register(self, listed: Mapping[int, Mapping[str, str]]) -> None:
        """Import the fleet's own list, some cells changed; in them {host} and {port} are the meter's own."""
        text = io.StringIO()
        self.fleet.write_registry(text, port=self.server.port, meter_type=METER_TYPE.name)
        text.seek(0)
        rows = csv.DictReader(text)
        changed = io.StringIO()
        table = csv.DictWriter(changed, list(rows.fieldnames or ()))
        table.writeheader()
        for index, row in enumerate(rows):
            place = {"host": self.fleet.identity(index).host, "port": self.server.port}
            row |= {column: cell.format(**place) for column, cell in listed.get(index, {}).items()}
            table.writerow(row)
            for column in ("encryption_key", "authentication_key"):
                self.secrets.append(bytes.fromhex(row[column]))
            self.secrets += [row["lls_secret"].encode(), row["hls_secret"].encode()]
        await import_meters(self.connection, changed.getvalue().splitlines(), self.types, self.vault, now=self.now)

    @asynccontextmanager
    async def collector(self, **settings: Any) -> AsyncIterator[FieldCollector]:
        with tempfile.TemporaryDirectory() as folder:
            configured = Settings(
                collection=Collection(**{"new_sessions_per_s": 100_000, **settings}),
                spool=Spool(folder=Path(folder), min_free_mb=0),
            )
            async with engine(configured, self.dsn, self.types, self.vault, clock=self.clock) as ready:
                yield FieldCollector(ready)

    async def cycle(self, **settings: Any) -> Cycle:
        """One cycle of a collector of its own, a moment after the last."""
        self.now += timedelta(milliseconds=1)
        async with self.collector(**settings) as collector:
            return await collector.cycle()

    # --- what is in the database -----------------------------------------------------------------------------

    async def ask(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        async with self.connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(query.encode(), parameters)
            return await cursor.fetchall()

    async def status(self, index: int) -> dict[str, Any]:
        return (await self.ask("SELECT * FROM meter_status WHERE meter = %s", self.name(index)))[0]

    async def suspects(self, index: int) -> list[dict[str, Any]]:
        return await self.ask(
            "SELECT s.* FROM suspect_row s JOIN meter m ON m.id = s.meter_id WHERE m.name = %s ORDER BY s.id",
            self.name(index),
        )

    async def stored(self, index: int) -> set[tuple[Any, ...]]:
        """(start in UTC, values by channel) of each stored interval."""
        rows = await self.ask(
            f"SELECT ts, {', '.join(CHANNELS)} FROM interval_reading JOIN meter ON id = meter_id WHERE name = %s",
            self.name(index),
        )
        return {tuple(row.values()) for row in rows}

    async def counters(self, index: int) -> dict[bytes, int]:
        """The highest counters under the meter's encryption key, by system title."""
        rows = await self.ask(
            "SELECT c.system_title, c.highest FROM invocation_counter c JOIN meter_key k ON k.id = c.meter_key_id "
            "JOIN meter m ON m.id = k.meter_id WHERE m.name = %s AND k.key_type = 'encryption' AND k.state = 'active'",
            self.name(index),
        )
        return {bytes(row["system_title"]): row["highest"] for row in rows}

    async def our_counter(self, index: int) -> int:
        title = bytes((await self.ask("SELECT client_system_title FROM utility"))[0]["client_system_title"])
        return (await self.counters(index)).get(title, 0)

    def expected(self, index: int) -> set[tuple[Any, ...]]:
        """What `stored` gives once all is stored, worked out from the physical load alone."""
        text = io.StringIO()
        write_expected(text, self.fleet, COMMISSIONED, self.now - timedelta(seconds=self.now.timestamp() % 900))
        text.seek(0)
        serial = self.fleet.identity(index).serial
        return {
            (datetime.fromisoformat(row["start"]), *(int(row[name]) if row[name] else None for name in CHANNELS))
            for row in csv.DictReader(text)
            if row["serial"] == serial
        }

    async def complete(self, indices: Iterable[int]) -> list[bool]:
        """Whether every interval of these meters is stored, value by value, and no other."""
        return [await self.stored(index) == self.expected(index) for index in indices]

    # --- what was logged -------------------------------------------------------------------------------------

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._log.getvalue().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def failures(self) -> dict[str, list[str]]:
        """Reasons that the collector logged, by meter."""
        reasons: dict[str, list[str]] = {}
        for line in self.logged("meter_failed"):
            reasons.setdefault(line["meter"], []).append(line["reason"])
        return reasons

    async def check(self) -> None:
        """What holds after every test."""
        said = self._log.getvalue() + "".join(map(str, await self.ask("SELECT * FROM meter_status")))
        assert '"exception"' not in said
        assert "Traceback" not in said
        assert self.server.repeats == 0, [meter.record.examples for meter in self.meters]
        for secret in self.secrets:
            for form in _forms(secret):
                assert form not in said, "a secret was shown"
        async with asyncio.timeout(20):
            while self.server.links:  # noqa: ASYNC110 - connections close by themselves
                await asyncio.sleep(0.02)


def _forms(secret: bytes) -> set[str]:
    forms = {secret.hex(), secret.hex().upper(), base64.b64encode(secret).decode(), secret.hex(" "), repr(secret)[2:-1]}
    return {form for form in forms if form}


@asynccontextmanager
async def field(
    dsn: str,
    meters: int = 3,
    *,
    odd: Mapping[int, Make] | None = None,
    listed: Mapping[int, Mapping[str, str]] | None = None,
    types: Mapping[str, MeterType] = TYPES,
    commissioned_at: datetime = COMMISSIONED,
) -> AsyncIterator[Field]:
    """`odd`: classes of the meters that misbehave. `listed`: cells of the meter list that are other than the fleet's.
    `types`: the meter types that are known when the list is imported."""
    log = io.StringIO()
    fleet = Fleet(23, meters, {"Bhopal city": 1}, commissioned_at)
    with redirect_stderr(log):
        configure_logs("debug", "json")
        try:
            async with await connect(dsn) as connection:
                place = Field(dsn, fleet, connection, log)
                place.types = types
                await place.serve(odd or {})
                try:
                    await place.register(listed or {})
                    yield place
                    await place.check()
                finally:
                    await place.server.close()
        finally:
            structlog.reset_defaults()
