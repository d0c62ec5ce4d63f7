"""The push listener as settings say: sockets, broker, and the line of arrivals behind them.

The one rule: it ends from the outside in: no more is taken, what is in the line is handed on, then the line stops.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import structlog

from drivers.push.listener import PushListener
from drivers.push.reception import Limits
from headend.intake import Intake
from headend.push.arrivals import Arrivals
from headend.push.discovered import Quarantine
from headend.push.kept import KeptBlocks
from headend.push.meters import KnownMeters
from headend.push.mqtt import Subscriber, subscribed
from headend.push.raw import RawPushes
from headend.settings import Push
from headend.spool.spool import Spool
from headend.store.database import Pool
from headend.vault import Vault
from profiles.errors import HeadEndError
from profiles.meter_type import MeterType

STOP_S: Final = 10.0
"""The longest that the end may wait for what is in the line."""
AT_ONCE: Final = 500
"""Pushes of one connection that are handled at one time: a gateway's, of many meters."""
REFUSED: Final = 100
"""One after the other on one connection, which is closed then: many meters may stand behind it."""

AT_START: Final = (
    "listen",
    "max_connections",
    "max_connections_per_source",
    "max_waiting",
    "max_alarms_waiting",
    *(name for name in Push.model_fields if name.startswith("mqtt_")),
)
"""Settings that sockets, broker and lines are made with."""

log = structlog.get_logger(__name__)


class Listening:
    """An open listener: what it hears, for status and metrics."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.arrivals = arrivals
        self.sockets: list[PushListener] = []
        self.broker: Subscriber | None = None
        self._handled = 0

    def heed(self, settings: Push) -> None:
        """These limits hold from now on, but for those that AT_START names."""
        of = self.arrivals
        of.heed(_limits(settings), settings.max_per_s)
        of.meters.heed(most=settings.cached_meters, for_s=settings.cached_s, per_minute=settings.max_per_meter_minute)
        of.quarantine.most = settings.max_discovered

    def goes_on(self) -> bool:
        """Whether nothing waits, or only for room, or something was handled since this was asked last."""
        of, before = self.arrivals, self._handled
        self._handled = of.kept + of.refused + of.spooled + of.failed
        return of.waiting == 0 or of.held_up or self._handled != before

    @property
    def tcp_ports(self) -> tuple[int, ...]:
        """In the order of the settings."""
        return tuple(port for each in self.sockets for port in each.tcp_ports)

    @property
    def udp_ports(self) -> tuple[int, ...]:
        """Likewise."""
        return tuple(port for each in self.sockets for port in each.udp_ports)

    @property
    def connections(self) -> int:
        """Open TCP connections."""
        return sum(each.connections for each in self.sockets)

    @property
    def turned_away(self) -> int:
        """Connections and datagrams that there was no room for."""
        return sum(each.turned_away for each in self.sockets)


@contextlib.asynccontextmanager
async def open_listener(
    settings: Push,
    pool: Pool,
    vault: Vault,
    types: Mapping[str, MeterType],
    intake: Intake,
    spool: Spool,
    *,
    clock: Callable[[], datetime],
) -> AsyncIterator[Listening]:
    """Take pushes as long as this lasts, within `intake.open()`, which is to end after it.

    `clock` gives aware times. Raises LinkError where a place can't be listened at, SettingsError, SpoolError.
    """
    arrivals, raw = _line(settings, pool, vault, types, intake, spool, clock)
    await raw.look()
    heard = Listening(arrivals)
    try:
        async with asyncio.TaskGroup() as group:
            kept = KeptBlocks(pool, vault, types, intake)
            work = (arrivals.run, arrivals.run_alarms, arrivals.run_raw, kept.run)
            tasks = [group.create_task(each()) for each in work]
            async with contextlib.AsyncExitStack() as outside:
                await _open_outside(settings, arrivals, heard, outside)
                yield heard
            await _drain(arrivals)
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as group_of:
        ours, others = group_of.split(HeadEndError)
        if ours is None or others is not None:
            raise
        raise _first(ours) from None


def _limits(settings: Push) -> Limits:
    return Limits(
        max_connections=settings.max_connections,
        max_per_source=settings.max_connections_per_source,
        max_at_once=AT_ONCE,
        max_waiting=settings.max_waiting,
        max_senders=settings.max_waiting,
        max_refused=REFUSED,
        idle_s=settings.idle_s,
        message_s=settings.message_s,
    )


def _line(
    settings: Push,
    pool: Pool,
    vault: Vault,
    types: Mapping[str, MeterType],
    intake: Intake,
    spool: Spool,
    clock: Callable[[], datetime],
) -> tuple[Arrivals, RawPushes]:
    raw = RawPushes(spool, clock)
    meters = KnownMeters(
        pool,
        vault,
        types,
        most=settings.cached_meters,
        for_s=settings.cached_s,
        per_minute=settings.max_per_meter_minute,
    )
    arrivals = Arrivals(
        _limits(settings),
        meters,
        Quarantine(pool, settings.max_discovered),
        intake,
        raw,
        max_waiting=settings.max_waiting,
        max_alarms=settings.max_alarms_waiting,
        max_per_s=settings.max_per_s,
        clock=clock,
    )
    return arrivals, raw


async def _open_outside(
    settings: Push, arrivals: Arrivals, heard: Listening, outside: contextlib.AsyncExitStack
) -> None:
    for place in settings.listen:
        parts = urlsplit(place)
        sockets = PushListener(arrivals)
        outside.push_async_callback(sockets.close)
        ports = {parts.scheme: parts.port}
        await sockets.start(parts.hostname, ports.get("tcp"), ports.get("udp"))
        heard.sockets.append(sockets)
    if settings.mqtt_host:
        heard.broker = await outside.enter_async_context(subscribed(settings, arrivals))
    log.info("listening", tcp=heard.tcp_ports, udp=heard.udp_ports, broker=settings.mqtt_host or None)


async def _drain(arrivals: Arrivals) -> None:
    try:
        async with asyncio.timeout(STOP_S):
            await arrivals.drained()
    except TimeoutError:
        log.warning("pushes_left_behind", waiting=arrivals.waiting + arrivals.alarms_waiting)


def _first(group: BaseExceptionGroup[HeadEndError]) -> HeadEndError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
