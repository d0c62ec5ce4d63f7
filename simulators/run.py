"""Run a simulated fleet in this process until told to stop: what `headend simulate` does.

The one rule: the answer key is written before the first meter can be asked, and a repeated invocation counter makes the
whole run a failure, said at the end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from profiles.errors import SettingsError
from simulators.datagrams import DatagramServer
from simulators.faulty_meter import FaultyMeter
from simulators.fleet import Identity
from simulators.lists import write_answer_key, write_registry
from simulators.meter import SimulatedMeter
from simulators.pusher import MAX_PUSHING, Pusher
from simulators.schedule import PushSchedule
from simulators.serial_port import SerialPort
from simulators.server import MeterServer, listen, raise_file_limit
from simulators.simulation import Simulation
from simulators.status_line import Activity, show
from simulators.supply import Supply
from simulators.virtual_clock import VirtualClock

log = structlog.get_logger(__name__)

SPARE_CONNECTIONS = 2
"""Connections a meter that file descriptors are asked for: one that is served, one that is closing."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a fleet is served.

    `port`: of all meters, 0 for a free one. `ipv6_port`: each meter also on a port of its own on [::1], from this one
    on (0: free ones); None for none. `udp`: also by UDP, on `port`. `serial`: the first meter also on this serial port,
    by HDLC, with `mode_e` after a sign-on.
    `registry`: file for the meter list, keys included, readable by its owner alone; its addresses are those on [::1]
    where there are any. `expect`: CSV file for what every meter must have said in the blocks that start before `end`,
    by default those that have ended; or a folder for Parquet files of all that it must have said.
    `until_input_ends`: stop also when standard input ends, which is when whoever holds its other end is gone.
    `status`: show on standard error what the fleet does.
    """

    port: int = 0
    ipv6_port: int | None = None
    udp: bool = False
    serial: str = ""
    mode_e: bool = False
    registry: Path | None = None
    expect: Path | None = None
    end: datetime | None = None
    until_input_ends: bool = False
    status: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """The fleet answers: `meters` at `first_host` and the addresses after it, all on `port`."""

    meters: int
    first_host: str
    last_host: str
    port: int
    connections: int
    """How many connections the limit of open files allows at once."""
    clock: str
    """The clock of the meters, for whoever wants to share it (`VirtualClock.parse`)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `repeats`: serial, client system title and counter of the first ones (at most a few a meter)."""

    repeated: int
    repeats: tuple[tuple[str, bytes, int], ...]

    @property
    def exit_code(self) -> int:
        """0, or 1 where an invocation counter came twice under one key."""
        return 1 if self.repeated else 0


async def simulate(
    simulation: Simulation,
    options: Options = Options(),
    *,
    clock: VirtualClock | None = None,
    ready: Callable[[Ready], None] | None = None,
    stop: asyncio.Event | None = None,
) -> Outcome:
    """Serve all that is simulated until SIGTERM or SIGINT, or until `stop` where one is given; returns what was
    noticed. `clock`: that of the meters, the present time by default. SettingsError where a file or a port can't be
    had."""
    clock = clock or VirtualClock.start()
    stopped = stop or asyncio.Event()
    with listen(options.port) as listener:
        port = listener.getsockname()[1]
        serving = _Serving(simulation, clock)
        connections = _allow_connections(simulation, options)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(serving.close)
            if options.ipv6_port is not None:
                await serving.server.start_on_ports(options.ipv6_port)
            if options.registry is not None:
                write_registry(options.registry, simulation, serving.addresses(port))
            if options.expect is not None:
                write_answer_key(options.expect, simulation, clock(), options.end)
            await serving.server.start(listener=listener)
            if options.udp:
                await serving.datagrams.start(port)
            if options.serial:
                on_serial = SerialPort(serving.first, options.serial, mode_e=options.mode_e)
                on_serial.open()
                stack.callback(on_serial.close)
            with (
                _stopped_by_signals(stopped) if stop is None else nullcontext(),
                _stopped_by_end_of_input(stopped) if options.until_input_ends else nullcontext(),
            ):
                if ready is not None:
                    hosts = list(serving.server.meters)
                    ready(Ready(len(hosts), hosts[0], hosts[-1], port, connections, str(clock)))
                async with serving.pushing(), _shown(serving.activity) if options.status else nullcontext():
                    await stopped.wait()
    return _outcome(serving.server)


class _Serving:
    """The meters of a simulation, and what serves them."""

    def __init__(self, simulation: Simulation, clock: VirtualClock) -> None:
        meters = simulation.meters(clock)
        supply = Supply(simulation.world, clock)
        self._clock = clock
        self._meters = {meter.identity.index: meter for meter in meters.values()}
        self._faulty = [meter.faults for meter in meters.values() if isinstance(meter, FaultyMeter)]
        self.server, self.datagrams = MeterServer(meters), DatagramServer(meters)
        if simulation.eventful:
            self.server.has_supply = self.datagrams.has_supply = supply.has
        self.pusher: Pusher | None = None
        if simulation.push is not None:
            seed, world = simulation.fleet.seed, simulation.world
            self.pusher = Pusher(PushSchedule(simulation.push, seed, list(self._meters), world), self._meters, clock)

    @property
    def first(self) -> SimulatedMeter:
        return self._meters[0]

    def addresses(self, port: int) -> Callable[[Identity], str]:
        """Where each meter is to be registered."""
        on_ports = {meter.identity.index: own for own, meter in self.server.ports.items()}
        if on_ports:
            return lambda meter: f"tcp://[::1]:{on_ports[meter.index]}"
        return lambda meter: f"tcp://{meter.host}:{port}"

    @asynccontextmanager
    async def pushing(self) -> AsyncIterator[None]:
        """Push what is due to the end of the block."""
        if self.pusher is None:
            yield
            return
        async with _running(self.pusher.run()):
            yield

    def activity(self) -> Activity:
        return Activity(
            self._clock(),
            len(self._meters),
            open_sessions=sum(meter.holder is not None for meter in self._meters.values()),
            answers=self.server.answers + self.datagrams.answers,
            pushes=0 if self.pusher is None else self.pusher.sent,
            faults=sum(sum(one.struck.values()) for one in self._faulty),
            repeated_counters=self.server.repeats,
        )

    async def close(self) -> None:
        await self.datagrams.close()
        await self.server.close()


@asynccontextmanager
async def _running(what: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs beside the block, and ends with it."""
    task = asyncio.create_task(what)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _shown(activity: Callable[[], Activity]) -> AbstractAsyncContextManager[None]:
    return _running(show(activity, sys.stderr))


def _allow_connections(simulation: Simulation, options: Options) -> int:
    """Ask for as many open files as the fleet may need; returns how many connections there can be."""
    meters = len(simulation.fleet)
    others = (0 if options.ipv6_port is None else meters) + (0 if simulation.push is None else MAX_PUSHING)
    connections = raise_file_limit(meters * SPARE_CONNECTIONS + others) - others
    if connections < meters:
        log.warning("too_few_open_files", connections=connections, meters=meters, remedy="raise ulimit -n")
    return connections


def _outcome(server: MeterServer) -> Outcome:
    examples = tuple(
        (meter.identity.serial, title, counter)
        for meter in server.meters.values()
        for title, counter in meter.record.examples
    )
    return Outcome(server.repeats, examples)


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop` for as long as this lasts."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@contextmanager
def _stopped_by_end_of_input(stop: asyncio.Event) -> Iterator[None]:
    """The end of standard input sets `stop` for as long as this lasts."""
    loop, standard_input = asyncio.get_running_loop(), 0

    def read() -> None:
        if not os.read(standard_input, 4096):
            loop.remove_reader(standard_input)
            stop.set()

    try:
        loop.add_reader(standard_input, read)
    except PermissionError:
        raise SettingsError("standard input is a file, whose end is no signal", remedy="give a pipe") from None
    try:
        yield
    finally:
        loop.remove_reader(standard_input)
