"""Collection stepped by hand: what is due, or some meters, once.

The one rule: it does what a daemon would, by the same engine; a stop ends it as it ends a daemon.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from headend.collection.jobs import Jobs
from headend.collection.planning import Wanted
from headend.collection.report import Report
from headend.collection.tasks import TASKS
from headend.engine import Engine, engine
from headend.meter_types import MeterTypes
from headend.registry import find_meter
from headend.settings import Settings
from headend.store.database import borrow
from headend.store.rows import Source
from headend.times import utc_now
from headend.vault import Vault, load_kek
from headend.waiting import signals, until
from profiles.errors import StoreError

TAKEN_WITHIN_S: Final = 60.0
"""By when a daemon that runs has taken a job that somebody waits for."""
ASKED_EVERY_S: Final = 0.25


async def collect_once(
    settings: Settings, dsn: str, at: datetime | None = None, meters: Sequence[str] = (), *, here: bool = True
) -> Report:
    """Step the dispatcher by hand, as if it were `at`, and do the jobs; how they went.

    Only `meters`, by name, if there are any; where not `here`, by the daemons, which are waited for. Raises StoreError.
    """
    vault, types = Vault(load_kek(settings.vault.kek_file)), MeterTypes(settings.meter_types)
    stop = asyncio.Event()
    clock = utc_now if at is None else lambda: at
    with signals({signal.SIGTERM: stop.set, signal.SIGINT: stop.set}):
        async with engine(settings, dsn, types, vault, clock=clock) as ready:
            work = asyncio.create_task(_by_hand(ready, meters, here))
            await until(work, stop)
            if not work.done():
                ready.collector.stop()
            return await work


async def _by_hand(ready: Engine, names: Sequence[str], here: bool) -> Report:
    if not names:
        return await ready.once()
    async with borrow(ready.pool) as connection:
        ids = [(await find_meter(connection, name)).id for name in names]
    if here:
        return await ready.collector.collect_meters(ids, Wanted(frozenset(TASKS), source=Source.ON_DEMAND))
    job = await ready.jobs.defer_meters(ids, TASKS)
    await _done_by_a_daemon(ready.jobs, job)
    async with borrow(ready.pool) as connection:
        errors = [(await find_meter(connection, name)).last_error for name in names]
    failed = sum(error is not None for error in errors)
    return Report(len(names), len(names) - failed, failed=Counter(failed=failed) if failed else Counter())


async def _done_by_a_daemon(jobs: Jobs, job: int) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TAKEN_WITHIN_S
    while (state := await jobs.state(job)) in ("todo", "doing"):
        if state == "todo" and loop.time() > deadline:
            remedy = "start `headend run`, or add --once to ask from here"
            raise StoreError("no daemon has taken the job: it waits for one", remedy=remedy, retry=False)
        await asyncio.sleep(ASKED_EVERY_S)
