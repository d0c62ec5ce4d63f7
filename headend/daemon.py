"""The daemon: cycle after cycle until told to stop, whatever meters, links and database do.

The one rule: SIGTERM or SIGINT begins no new session, gives the open ones a moment, writes what they brought, and ends
with exit code 0. SIGKILL loses nothing either: what is not stored is still owed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import structlog

from headend.collect import Collector, Report
from headend.garbage import look_seldom
from headend.meter_types import MeterTypes
from headend.settings import Settings
from headend.store.database import edition, open_pool
from headend.store.embedded import EmbeddedPostgres
from headend.store.migrate import migrate
from headend.store.writer import Writer
from headend.vault import Vault, load_kek
from profiles.errors import SettingsError, StoreError
from profiles.meter_type import MeterType

GRACE_S: Final = 20.0
"""How long open sessions may go on after a stop is asked for."""
LONGEST_WAIT_S: Final = 60.0
"""Between tries while the database is away."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The clock of the running system; everything else is handed its time."""
    return datetime.now(UTC)


def load_types(settings: Settings) -> MeterTypes:
    """Every meter type by name: those that come with the program, and the settings' files, which win. SettingsError."""
    return MeterTypes(settings.meter_types)


@contextlib.contextmanager
def database(settings: Settings, *, make: bool = True) -> Iterator[str]:
    """The DSN of the settings, or of the embedded PostgreSQL, running for as long as this lasts.

    Who only looks makes no cluster (`make`): SettingsError where there is none. Raises StoreError.
    """
    if settings.database.dsn:
        yield settings.database.dsn
        return
    server = EmbeddedPostgres(settings.database.folder)
    if not make and not server.exists():
        raise SettingsError(
            f"no database is named, and there is no embedded one in {settings.database.folder}",
            remedy="set database.dsn by --config, HEADEND_DATABASE__DSN or --dsn",
        )
    with server as dsn:
        yield dsn


@contextlib.asynccontextmanager
async def collector(
    settings: Settings,
    dsn: str,
    types: Mapping[str, MeterType],
    vault: Vault,
    *,
    clock: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Collector]:
    """A collector on an up-to-date database. Raises StoreError, SettingsError."""
    chunk = timedelta(days=settings.database.chunk_days)
    await migrate(dsn, zone=settings.utility.zone, chunk_interval=chunk)
    pool = await open_pool(dsn, connections=settings.database.connections)
    async with pool:
        async with pool.connection() as connection:
            writer = Writer(pool, await edition(connection))
        yield Collector(settings.collection, pool, writer, vault, types, clock=clock)


async def run(settings: Settings, dsn: str, *, once: bool = False) -> Report | None:
    """Collect until a signal comes, or `once`: one cycle, whose report is returned.

    Raises SettingsError, and StoreError where waiting can't help (or, with `once`, always).
    """
    vault, types = Vault(load_kek(settings.vault.kek_file)), load_types(settings)
    stop = asyncio.Event()
    with _signals(stop):
        if once:
            async with collector(settings, dsn, types, vault) as ready:
                return await _cycle(ready, stop)
        log.info("daemon_started", meter_types=sorted(types), cycle_s=settings.collection.cycle_s)
        await _again_and_again(settings, dsn, types, vault, stop)
        log.info("daemon_stopped")
    return None


async def _again_and_again(
    settings: Settings, dsn: str, types: Mapping[str, MeterType], vault: Vault, stop: asyncio.Event
) -> None:
    """Cycles until `stop`; while the database is away, tries to reach it."""
    wait = 1.0
    while not stop.is_set():
        try:
            async with collector(settings, dsn, types, vault) as ready:
                while not stop.is_set():
                    begun = asyncio.get_running_loop().time()
                    await _cycle(ready, stop)
                    wait = 1.0
                    spent = asyncio.get_running_loop().time() - begun
                    await _sleep(stop, settings.collection.cycle_s - spent)
        except StoreError as error:
            if not error.retry:
                raise
            log.error("database_away", reason=str(error), again_in_s=wait)
            await _sleep(stop, wait)
            wait = min(2 * wait, LONGEST_WAIT_S)


async def _cycle(ready: Collector, stop: asyncio.Event) -> Report | None:
    """One cycle; at a stop the open sessions get their moment. None where they did not end in time."""
    cycle = asyncio.create_task(ready.cycle())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({cycle, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not cycle.done():
            log.info("stopping", grace_s=GRACE_S)
            ready.stop()
            await asyncio.wait({cycle}, timeout=GRACE_S)
        if not cycle.done():
            log.warning("sessions_cut", reason="open sessions did not end in time; what they read is still owed")
            return None
        report = cycle.result()
    finally:
        await _end(cycle)
        await _end(stopped)
    log.info(
        "cycle_finished",
        meters=report.meters,
        answered=report.answered,
        failed=dict(report.failed),
        inserted=report.written.inserted,
        updated=report.written.updated,
        suspects=report.written.suspects,
        seconds=round(report.seconds, 3),
    )
    return report


async def _end(task: asyncio.Task[object]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), max(0.0, seconds))


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def run_async(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on uvloop."""
    import uvloop

    look_seldom()
    return uvloop.run(main())
