"""The daemon: all its parts side by side until told to stop, whatever meters, links and database do.

The one rule: SIGTERM or SIGINT begins no new session, gives the open ones a moment, writes what they brought, and ends
with exit code 0. SIGKILL loses nothing either: what is not stored is still owed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Final, Literal, get_args

import structlog

from headend.collection.jobs import REAP_EVERY_S
from headend.engine import Engine, engine
from headend.meter_types import MeterTypes
from headend.outages.correlator import LOOK_EVERY_S, correlate
from headend.push.listener import open_listener
from headend.registry import mark_silent
from headend.seeing import systemd
from headend.seeing.current import CurrentSettings
from headend.seeing.node import told
from headend.seeing.server import served
from headend.seeing.sight import Sight
from headend.settings import Settings
from headend.store.database import borrow
from headend.times import utc_now
from headend.upkeep.work import upkeep
from headend.vault import Vault, load_kek
from headend.waiting import beside, first_of, pause, signals
from profiles.errors import SettingsError, StoreError

Role = Literal["collect", "listen", "jobs"]
Roles = frozenset[Role]
ALL_ROLES: Final[Roles] = frozenset(get_args(Role))
"""What a node does: read meters, take in pushes, see that what is due gets its jobs."""
GRACE_S: Final = 15.0
"""How long all parts may take to end after a stop is asked for; jobs have less of it, the intake some more."""
CUT_S: Final = 3.0
"""How long those that did not end in time may take to be cut."""
LAST_S: Final = 22.0
"""After so long the process ends, whatever hangs in it: what it held is in the spool by then, or still owed."""
THREADS_S: Final = 5.0
"""How long the process may take for that: Python waits for threads, and one may hang at a disk or a serial port."""
LISTEN_EVERY_S: Final = 1.0
"""How often it is seen whether what was pushed goes on."""
SILENCE_EVERY_S: Final = 3600.0
UPKEEP_S: Final = 6 * 3600.0
"""The longest that one round of upkeep may take: compressing a year that was imported, say."""
LONGEST_WAIT_S: Final = 60.0
"""Between tries while the database is away."""

log = structlog.get_logger(__name__)


def roles_of(text: str) -> Roles:
    """`collect,jobs` as roles. Raises SettingsError."""
    roles = [role.strip() for role in text.split(",")]
    for role in roles:
        if role not in ALL_ROLES:
            raise SettingsError(f"there is no role {role!r}", remedy=f"the roles are {', '.join(sorted(ALL_ROLES))}")
    return frozenset(role for role in ALL_ROLES if role in roles)


async def run(
    settings: Settings, dsn: str, roles: Roles = ALL_ROLES, reload: Callable[[], Settings] | None = None
) -> None:
    """Collect until a signal comes; SIGHUP has `reload` give the settings again.

    Raises SettingsError, LinkError where metrics can't be served, and StoreError where waiting can't help.
    """
    vault, types = Vault(load_kek(settings.vault.kek_file)), MeterTypes(settings.meter_types)
    stop, sight = asyncio.Event(), Sight(roles, utc_now)
    current = CurrentSettings(settings, reload or (lambda: settings))
    wait = 1.0
    with signals({signal.SIGTERM: stop.set, signal.SIGINT: stop.set, signal.SIGHUP: current.reload}):
        async with served(settings.seeing, sight), beside(systemd.ping(sight.hanging)), beside(_insist(stop, sight)):
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
                    await pause(stop, wait)
                    wait = min(2 * wait, LONGEST_WAIT_S)
            log.info("daemon_stopped")


async def _seen(ready: Engine, roles: Roles, stop: asyncio.Event, sight: Sight, current: CurrentSettings) -> None:
    """Serve, and let it be seen."""
    sight.attach(ready.intake, ready.spool, ready.collector)
    ready.jobs.on_alive = lambda: _beat(ready, sight, "worker", REAP_EVERY_S)

    def heed(settings: Settings) -> None:
        pushes = settings.push != ready.settings.push
        ready.heed(settings)
        if pushes and sight.listening is not None:
            sight.listening.heed(settings.push)

    current.on_change = heed
    ready.heed(current.now)
    try:
        async with told(sight, ready.pool):
            systemd.ready("running")
            await _serve(ready, roles, stop, sight)
    finally:
        sight.detach()
        current.on_change = lambda settings: None


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


async def _insist(stop: asyncio.Event, sight: Sight) -> None:
    """See that the process ends soon after `stop`, though parts of it hang, and that what it holds is in the spool."""
    await stop.wait()
    await asyncio.sleep(GRACE_S + CUT_S)
    if sight.intake is not None:
        sight.intake.leave()
    await asyncio.sleep(LAST_S - GRACE_S - CUT_S)
    log.error("daemon_cut", after_s=LAST_S, reason="something hangs; what was not stored by now is still owed")
    cut = threading.Timer(THREADS_S, os._exit, (0,))
    cut.daemon = True
    cut.start()
    raise SystemExit(0)


def _beat(ready: Engine, sight: Sight, part: str, within_s: float) -> None:
    """The part goes on, and says so again within so many seconds."""
    sight.pulse.beat(part, within_s + ready.settings.seeing.hangs_after_s)


async def _tick(ready: Engine, stop: asyncio.Event, sight: Sight) -> None:
    while not stop.is_set():
        _beat(ready, sight, "dispatcher", ready.settings.collection.tick_s)
        await ready.dispatch()
        sight.dispatched_at = ready.clock()
        await pause(stop, ready.settings.collection.tick_s)


async def _correlate(ready: Engine, sight: Sight) -> None:
    """Tell outages by the events of meters."""
    await correlate(
        ready.dsn, lambda: ready.settings.outages, ready.clock, lambda: _beat(ready, sight, "outages", LOOK_EVERY_S)
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
        await pause(stop, ready.settings.upkeep.every_s)


async def _mark_silent(ready: Engine, stop: asyncio.Event, sight: Sight) -> None:
    """Call silent, now and then, the meters that have not answered for long."""
    while not stop.is_set():
        _beat(ready, sight, "silence", SILENCE_EVERY_S)
        before = ready.clock() - timedelta(hours=ready.settings.seeing.silent_after_h)
        async with borrow(ready.pool) as connection:
            if count := await mark_silent(connection, before):
                log.warning("meters_silent", count=count, after_h=ready.settings.seeing.silent_after_h)
        await pause(stop, SILENCE_EVERY_S)


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
    ) as listening:
        sight.listening = listening
        listening.heed(ready.settings.push)  # they may have changed while it opened
        sight.waiting_for.discard("listener")
        while not stop.is_set():
            if listening.goes_on():
                _beat(ready, sight, "listener", LISTEN_EVERY_S)
            await pause(stop, LISTEN_EVERY_S)


async def _kept_up(name: str, part: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event, sight: Sight) -> None:
    """A part that begins anew after the database was away. Raises what waiting can't help."""
    wait = 1.0
    try:
        while not stop.is_set():
            sight.waiting_for.discard(name)
            try:
                await part()
            except* StoreError as errors:
                error = first_of(errors)
                if not error.retry:
                    raise error from None
                sight.waiting_for.add(name)
                log.error("database_away", part=name, reason=str(error), again_in_s=wait)
                await pause(stop, wait)
                wait = min(2 * wait, LONGEST_WAIT_S)
            else:
                wait = 1.0
    finally:
        sight.waiting_for.discard(name)
        sight.pulse.rest(name)
