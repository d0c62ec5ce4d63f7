"""The engine: everything that collects, ready on one database.

The one rule: it is made and ended as a whole; what runs on it, and for how long, is its user's business.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from headend.collection.collector import Collector
from headend.collection.dispatcher import Due, dispatch, due_segments, settle
from headend.collection.jobs import Jobs
from headend.collection.locks import MeterLocks
from headend.collection.planning import Planner, Wanted
from headend.collection.report import Report
from headend.intake import Intake
from headend.settings import Settings
from headend.spool.spool import Spool, open_spool
from headend.store.batch import Store
from headend.store.database import Pool, borrow, open_pool
from headend.store.migrate import migrate
from headend.times import utc_now
from headend.upkeep.check import refuse_small_lock_table
from headend.upkeep.facts import facts
from headend.vault import Vault
from headend.waiting import first_of
from profiles.errors import StoreError
from profiles.meter_type import MeterType


@dataclass(slots=True)
class Engine:
    """What collects, on one database."""

    settings: Settings
    dsn: str
    pool: Pool
    types: Mapping[str, MeterType]
    vault: Vault
    store: Store
    spool: Spool
    intake: Intake
    collector: Collector
    jobs: Jobs
    clock: Callable[[], datetime]

    def heed(self, settings: Settings) -> None:
        """These hold from now on, as far as they can be changed while sessions go on."""
        self.settings = settings
        self.collector.heed(settings.collection, settings.schedules, settings.clock)

    async def dispatch(self) -> int:
        """Make the jobs that are due; how many. Raises StoreError."""
        return await dispatch(self.pool, self.jobs, self.settings.schedules, self.settings.utility.zone, self.clock())

    async def once(self) -> Report:
        """Ask every segment that is due, here and now; those where that failed stay due. Raises StoreError."""
        report, places = Report(), asyncio.Semaphore(self.settings.collection.segments_at_once)

        async def ask(due: Due) -> None:
            nonlocal report
            async with places:
                done = await self.collector.collect(due.segment, Wanted(frozenset(due.tasks)))
                report += done
                if not (done.again or done.down or done.held):
                    async with borrow(self.pool) as connection:
                        await settle(connection, due)

        async with borrow(self.pool) as connection:
            schedules, zone = self.settings.schedules, self.settings.utility.zone
            found = await due_segments(connection, schedules, zone, self.clock())
        try:
            async with asyncio.TaskGroup() as tasks:
                for due in found:
                    tasks.create_task(ask(due))
        except* StoreError as errors:
            raise first_of(errors) from None
        return report


@contextlib.asynccontextmanager
async def engine(
    settings: Settings,
    dsn: str,
    types: Mapping[str, MeterType],
    vault: Vault,
    *,
    clock: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Engine]:
    """Everything ready on an up-to-date database. Raises StoreError, SettingsError."""
    edition = await migrate(dsn, zone=settings.utility.zone, chunk_interval=settings.database.chunk_interval)
    pool = await open_pool(dsn, connections=settings.database.connections)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(pool)
        async with borrow(pool) as connection:
            await vault.check(connection)
            refuse_small_lock_table(await facts(connection, settings, clock()), settings)
        store = Store(pool, edition)
        spool = await stack.enter_async_context(open_spool(**settings.spool.model_dump()))
        intake = Intake(store, spool, clock=clock)
        await stack.enter_async_context(intake.open())
        locks = await stack.enter_async_context(MeterLocks(dsn))
        planner = Planner(types, vault, settings.collection, settings.schedules)
        collector = Collector(settings.collection, settings.clock, pool, planner, intake, locks, clock=clock)
        jobs = await stack.enter_async_context(Jobs(dsn, collector).open())
        yield Engine(settings, dsn, pool, types, vault, store, spool, intake, collector, jobs, clock)
