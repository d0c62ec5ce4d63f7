"""Simulated meters that push into our listener, which keeps what comes in a real database behind a real intake."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row

from drivers.address import parse_address
from drivers.credentials import CounterRange
from drivers.reading import Layout, read_layout, read_push_lists
from drivers.session import open_session
from headend.intake import Intake
from headend.meter_types import MeterTypes
from headend.push.listener import Listening, open_listener
from headend.push.meters import LIST_OF
from headend.registry import import_meters
from headend.settings import Push
from headend.spool.spool import Spool, open_spool
from headend.store.batch import Store
from headend.store.database import Pool, connect, edition, open_pool
from headend.store.finished import Finished
from headend.store.layouts import save_layouts
from headend.store.writer import Written
from headend.vault import Kek, Vault
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.push_sender import send_push
from simulators.server import MeterServer
from simulators.state import TCP, Destination

COMMISSIONED = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
NOW = datetime(2026, 1, 3, 6, 7, 30, tzinfo=UTC)
"""11:37:30 in India: the last block began at 11:15."""
LAST_BLOCK = datetime(2026, 1, 3, 5, 45, tzinfo=UTC)
TITLE = b"HES\x00\x00\x00\x00\x01"
PUSH_SAP = 64
LIMIT_S = 20.0
PLACES = ("tcp://127.0.0.1:0", "tcp://[::1]:0", "udp://127.0.0.1:0", "udp://[::1]:0")


class TellingStore(Store):
    """The store, which also remembers what it was given."""

    def __init__(self, *of: Any) -> None:
        super().__init__(*of)
        self.given: list[Finished] = []

    async def write(self, finished: Any, now: datetime) -> Written:
        written = await super().write(finished, now)
        self.given += finished
        return written


class Town:
    """Meters, and the head-end that they push to."""

    def __init__(self, dsn: str, server: MeterServer, fleet: Fleet, meter_type: MeterType) -> None:
        self.dsn = dsn
        self.fleet = fleet
        self.meter_type = meter_type
        self.server = server
        self.now = NOW
        self._counters = CounterRange(1, 100_000)
        self.kek = secrets.token_bytes(32)
        self.vault = Vault(Kek(self.kek))
        self.types = MeterTypes()
        self.store: TellingStore
        self.intake: Intake
        self.spool: Spool
        self.listening: Listening
        self.pool: Pool

    @property
    def meters(self) -> list[SimulatedMeter]:
        return list(self.server.meters.values())

    def clock(self) -> datetime:
        return self.now

    async def register(self, **cells: str) -> None:
        """Import the fleet's list with layouts, some cells of every row changed."""
        text = io.StringIO()
        self.fleet.write_registry(text, port=self.server.port, meter_type=self.meter_type.name)
        header, *rows = text.getvalue().splitlines()
        names = header.split(",")
        changed = [",".join(cells.get(n, cell) for n, cell in zip(names, row.split(","), strict=True)) for row in rows]
        async with await connect(self.dsn) as connection:
            await import_meters(
                connection, [header, *changed], {self.meter_type.name: self.meter_type}, self.vault, now=NOW
            )
            cursor = await connection.execute("SELECT name, id FROM meter")
            ids = dict(await cursor.fetchall())
            for meter in self.meters:
                for name, layout in (await self._layouts(meter)).items():
                    await save_layouts(connection, {ids[meter.identity.name]: layout}, name, NOW)

    async def _layouts(self, meter: SimulatedMeter) -> dict[str, Layout]:
        """Of the block load profile, and of what it pushes."""
        kind = meter.meter_type.associations["utility_setting"]
        credentials = meter.client_credentials(kind, TITLE, self._counters)
        address = parse_address(f"tcp://{meter.identity.host}:{self.server.port}?timeout=10")
        title = meter.identity.system_title
        async with open_session(address, meter.meter_type, kind, credentials, server_title=title) as session:
            lists = await read_push_lists(session, meter.meter_type)
            pushed = {LIST_OF + name: Layout(objects, {}, 0) for name, objects in lists.items()}
            return {"block_load": await read_layout(session, meter.meter_type.profiles["block_load"]), **pushed}

    @asynccontextmanager
    async def headend(
        self, folder: Path, *, listen: tuple[str, ...] = PLACES, spool_mb: int = 50, **settings: Any
    ) -> AsyncIterator[Listening]:
        """Listens; `ports` are in the order of PLACES."""
        async with AsyncExitStack() as stack:
            self.pool = await open_pool(self.dsn, connections=4)
            stack.push_async_callback(self.pool.close)
            async with await connect(self.dsn) as connection:
                self.store = TellingStore(self.pool, await edition(connection))
            self.spool = await stack.enter_async_context(open_spool(folder, max_mb=spool_mb, min_free_mb=1))
            self.intake = Intake(self.store, self.spool, clock=self.clock)
            await stack.enter_async_context(self.intake.open())
            self.listening = await stack.enter_async_context(
                open_listener(
                    Push(listen=listen, **settings),
                    self.pool,
                    self.vault,
                    self.types,
                    self.intake,
                    self.spool,
                    clock=self.clock,
                )
            )
            yield self.listening

    async def send(
        self, meter: SimulatedMeter, *apdus: bytes, answered: bool = False, service: int = TCP
    ) -> bytes | None:
        """By the first place of that service."""
        return await send_push(meter, apdus, self.destination(service), PUSH_SAP, answered=answered)

    def destination(self, service: int = TCP, *, v6: bool = False) -> Destination:
        ports = self.listening.tcp_ports if service != 1 else self.listening.udp_ports
        return Destination(service, (f"[::1]:{ports[1]}" if v6 else f"127.0.0.1:{ports[0]}").encode())

    async def until(self, holds: Callable[[], bool] | Callable[[], Awaitable[bool]], limit_s: float = LIMIT_S) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(limit_s):
            while True:
                said = holds()
                if said if isinstance(said, bool) else await said:
                    return
                await asyncio.sleep(0.02)

    async def kept(self, count: int) -> None:
        """Until so many pushes are kept, and all of them durable."""
        await self.until(lambda: self.listening.arrivals.kept >= count)
        await self.intake.settled()

    async def ask(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        async with await connect(self.dsn) as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(query.encode(), parameters)
            return await cursor.fetchall()

    async def blocks(self) -> list[dict[str, Any]]:
        return await self.ask(
            "SELECT m.name, r.ts, r.voltage, r.wh_import, r.quality, r.source FROM interval_reading r "
            "JOIN meter m ON m.id = r.meter_id ORDER BY m.name, r.ts"
        )


@asynccontextmanager
async def town(dsn: str, *, meters: int = 1, meter_type: str = "is15959-1ph") -> AsyncIterator[Town]:
    """Simulated meters of one type, whose clocks show NOW; not registered yet."""
    fleet = Fleet(5, meters, {"Bhopal city": 1}, COMMISSIONED)
    of_type = load_meter_type(meter_type)
    here: dict[str, Town] = {}
    made = simulated_meters(fleet, of_type, lambda: here["town"].now if here else NOW)
    server = MeterServer(made)
    await server.start()
    try:
        here["town"] = Town(dsn, server, fleet, of_type)
        yield here["town"]
    finally:
        await server.close()
    assert server.repeats == 0
