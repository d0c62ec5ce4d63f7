"""The daemon: all its parts side by side until told to stop, whatever meters, links and database do.

The one rule: SIGTERM or SIGINT begins no new session, gives the open ones a moment, writes what they brought, and ends
with exit code 0. SIGKILL loses nothing either: what is not stored is still owed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeVar, get_args

import structlog

from headend.collection.collector import Collector, Report
from headend.collection.dispatcher import Due, dispatch, due_segments, settle
from headend.collection.jobs import Jobs
from headend.collection.locks import MeterLocks
from headend.collection.planning import Planner, Wanted
from headend.collection.tasks import TASKS
from headend.garbage import look_seldom
from headend.intake import Intake
from headend.meter_types import MeterTypes
from headend.outages.correlator import correlate
from headend.push import open_listener
from headend.registry import find_meter, mark_silent
from headend.seeing import systemd
from headend.seeing.current import CurrentSettings
from headend.seeing.node import told
from headend.seeing.server import served
from headend.seeing.sight import Sight
from headend.settings import Settings
from headend.spool.spool import Spool, open_spool
from headend.store.batch import Store
from headend.store.database import Pool, borrow, open_pool
from headend.store.embedded import EmbeddedPostgres
from headend.store.migrate import migrate
from headend.store.rows import Source
from headend.upkeep.check import refuse_small_lock_table
from headend.upkeep.facts import facts
from headend.upkeep.work import upkeep
from headend.vault import Vault, load_kek
from profiles.errors import SettingsError, StoreError
from profiles.meter_type import MeterType

Role = Literal["collect", "listen", "jobs"]
Roles = frozenset[Role]
ALL_ROLES: Final[Roles] = frozenset(get_args(Role))
"""What a node does: read meters, take in pushes, see that what is due gets its jobs."""
GRACE_S: Final = 15.0
"""How long all parts may take to end after a stop is asked for; jobs have less of it, the intake some more."""
CUT_S: Final = 3.0
"""How long those that did not end in time may take to be cut."""
PATIENCE_S: Final = 300.0
"""A part that says no more that it lives hangs after so long: longer than any deadline inside."""
SILENCE_EVERY_S: Final = 3600.0
UPKEEP_S: Final = 6 * 3600.0
"""The longest that one round of upkeep may take: compressing a year that was imported, say."""
TAKEN_WITHIN_S: Final = 60.0
"""By when a daemon that runs has taken a job that somebody waits for."""
ASKED_EVERY_S: Final = 0.25
LONGEST_WAIT_S: Final = 60.0
"""Between tries while the database is away."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


def roles_of(text: str) -> Roles:
    """`collect,jobs` as roles. Raises SettingsError."""
    roles = [role.strip() for role in text.split(",")]
    for role in roles:
        if role not in ALL_ROLES:
            raise SettingsError(f"there is no role {role!r}", remedy=f"the roles are {', '.join(sorted(ALL_ROLES))}")
    return frozenset(role for role in ALL_ROLES if role in roles)


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
        self.collector.heed(settings.collection, settings.schedules)
        self.collector.clocks = settings.clock

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
            raise _first(errors) from None
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
        collector = Collector(settings.collection, pool, planner, intake, locks, clock=clock)
        collector.clocks = settings.clock
        jobs = await stack.enter_async_context(Jobs(dsn, collector).open())
        yield Engine(settings, dsn, pool, types, vault, store, spool, intake, collector, jobs, clock)


async def run(
    settings: Settings, dsn: str, roles: Roles = ALL_ROLES, reload: Callable[[], Settings] | None = None
) -> None:
    """Collect until a signal comes; SIGHUP has `reload` give the settings again.

    Raises SettingsError, LinkError where metrics can't be served, and StoreError where waiting can't help.
    """
    vault, types = Vault(load_kek(settings.vault.kek_file)), load_types(settings)
    stop, sight = asyncio.Event(), Sight(roles, utc_now)
    current = CurrentSettings(settings, reload or (lambda: settings))
    wait = 1.0
    with _signals({signal.SIGTERM: stop.set, signal.SIGINT: stop.set, signal.SIGHUP: current.reload}):
        async with served(settings.seeing, sight), _beside(systemd.ping(sight.hanging)):
            log.info("daemon_started", meter_types=sorted(types), roles=sorted(roles), node=sight.node)
            while not stop.is_set():
                try:
                    async with engine(current.now, dsn, types, vault) as ready:
                        await _seen(ready, roles, stop, sight, current)
                except StoreError as error:
                    if not error.retry:
                        raise
                    log.error("database_away", reason=str(error), again_in_s=wait)
                    systemd.ready("running; the database is away")
                    await _sleep(stop, wait)
                    wait = min(2 * wait, LONGEST_WAIT_S)
            log.info("daemon_stopped")


async def _seen(ready: Engine, roles: Roles, stop: asyncio.Event, sight: Sight, current: CurrentSettings) -> None:
    """Serve, and let it be seen."""
    sight.attach(ready.intake, ready.spool, ready.collector)
    ready.jobs.on_alive = lambda: sight.pulse.beat("worker", PATIENCE_S)
    current.on_change = ready.heed
    ready.heed(current.now)
    try:
        async with told(sight, ready.pool):
            systemd.ready("running")
            await _serve(ready, roles, stop, sight)
    finally:
        sight.detach()
        current.on_change = lambda settings: None


async def collect_once(
    settings: Settings, dsn: str, at: datetime | None = None, meters: Sequence[str] = (), *, here: bool = True
) -> Report:
    """Step the dispatcher by hand, as if it were `at`, and do the jobs; how they went.

    Only `meters`, by name, if there are any; where not `here`, by the daemons, which are waited for. Raises StoreError.
    """
    vault, types = Vault(load_kek(settings.vault.kek_file)), load_types(settings)
    stop = asyncio.Event()
    clock = utc_now if at is None else lambda: at
    with _signals({signal.SIGTERM: stop.set, signal.SIGINT: stop.set}):
        async with engine(settings, dsn, types, vault, clock=clock) as ready:
            work = asyncio.create_task(_by_hand(ready, meters, here))
            await _until(work, stop)
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


async def _serve(ready: Engine, roles: Roles, stop: asyncio.Event, sight: Sight) -> None:
    """All parts of these roles, side by side, until `stop`; open sessions get a moment then.

    Raises what ended a part for good.
    """
    parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
    if "jobs" in roles:
        parts["dispatcher"] = lambda: _tick(ready, stop, sight)
        parts["silence"] = lambda: _mark_silent(ready, stop, sight)
        parts["upkeep"] = lambda: _upkeep(ready, stop, sight)
        parts["outages"] = lambda: _correlate(ready, sight)
    if "collect" in roles:
        parts["worker"] = lambda: _work(ready)
    if "listen" in roles and (ready.settings.push.listen or ready.settings.push.mqtt_host):
        parts["listener"] = lambda: _listen(ready, stop, sight)
    tasks = [asyncio.create_task(_kept_up(name, part, stop, sight), name=name) for name, part in parts.items()]
    try:
        ends = asyncio.create_task(stop.wait())
        await asyncio.wait({ends, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        ends.cancel()
        if stop.is_set():
            log.info("stopping", grace_s=GRACE_S, open_sessions=ready.collector.pace.open)
            systemd.stopping()
    finally:
        ready.collector.stop()
        await _end_all(tasks)
    for task in tasks:
        if not stop.is_set() and task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _end_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """End all parts, within a limit whatever they do."""
    for task in tasks:
        task.cancel()
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=GRACE_S)
    if late:
        log.warning("sessions_cut", reason="open sessions did not end in time; what they read is still owed")
        for task in late:
            task.cancel()
        await asyncio.wait(late, timeout=CUT_S)


async def _tick(ready: Engine, stop: asyncio.Event, sight: Sight) -> None:
    while not stop.is_set():
        sight.pulse.beat("dispatcher", ready.settings.collection.tick_s + PATIENCE_S)
        await ready.dispatch()
        sight.dispatched_at = ready.clock()
        await _sleep(stop, ready.settings.collection.tick_s)


async def _correlate(ready: Engine, sight: Sight) -> None:
    """Tell outages by the events of meters."""
    await correlate(
        ready.dsn, lambda: ready.settings.outages, ready.clock, lambda: sight.pulse.beat("outages", PATIENCE_S)
    )


async def _upkeep(ready: Engine, stop: asyncio.Event, sight: Sight) -> None:
    while not stop.is_set():
        sight.pulse.beat("upkeep", ready.settings.upkeep.every_s + UPKEEP_S)
        try:
            await upkeep(ready.dsn, ready.settings, ready.clock())
        except StoreError as error:
            if error.retry:
                raise
            log.error("upkeep_failed", reason=str(error))  # collection goes on without it
        await _sleep(stop, ready.settings.upkeep.every_s)


async def _mark_silent(ready: Engine, stop: asyncio.Event, sight: Sight) -> None:
    """Call silent, now and then, the meters that have not answered for long."""
    while not stop.is_set():
        sight.pulse.beat("silence", SILENCE_EVERY_S + PATIENCE_S)
        before = ready.clock() - timedelta(hours=ready.settings.seeing.silent_after_h)
        async with borrow(ready.pool) as connection:
            if count := await mark_silent(connection, before):
                log.warning("meters_silent", count=count, after_h=ready.settings.seeing.silent_after_h)
        await _sleep(stop, SILENCE_EVERY_S)


async def _work(ready: Engine) -> None:
    """Do jobs."""
    limits = ready.settings.collection
    await ready.jobs.work(segments_at_once=limits.segments_at_once, reserved=limits.reserved_jobs)


async def _listen(ready: Engine, stop: asyncio.Event, sight: Sight) -> None:
    """Take in pushes."""
    sight.waiting_for.add("listener")
    of = ready.settings.push
    async with open_listener(
        of, ready.pool, ready.vault, ready.types, ready.intake, ready.spool, clock=ready.clock
    ) as sight.listening:
        sight.waiting_for.discard("listener")
        await stop.wait()


async def _kept_up(name: str, part: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event, sight: Sight) -> None:
    """A part that begins anew after the database was away. Raises what waiting can't help."""
    wait = 1.0
    try:
        while not stop.is_set():
            sight.waiting_for.discard(name)
            try:
                await part()
            except* StoreError as errors:
                error = _first(errors)
                if not error.retry:
                    raise error from None
                sight.waiting_for.add(name)
                log.error("database_away", part=name, reason=str(error), again_in_s=wait)
                await _sleep(stop, wait)
                wait = min(2 * wait, LONGEST_WAIT_S)
            else:
                wait = 1.0
    finally:
        sight.waiting_for.discard(name)
        sight.pulse.rest(name)


async def _until(work: asyncio.Task[Any], stop: asyncio.Event) -> None:
    """Until either is done."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    await _end(stopped)


async def _end(task: asyncio.Task[object]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """`work` goes on as long as this lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await _end(task)


@contextlib.contextmanager
def _signals(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number, handle in handlers.items():
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


def run_async(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on uvloop."""
    import uvloop

    look_seldom()
    return uvloop.run(main())


def _first(group: BaseExceptionGroup[StoreError]) -> StoreError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
