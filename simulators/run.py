"""Run a simulated fleet in this process until told to stop: what `headend simulate` does.

The one rule: the answer key is written before the first meter can be asked, and a repeated invocation counter makes the
whole run a failure, said at the end.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

import structlog

from profiles.errors import SettingsError
from profiles.meter_type import MeterType
from simulators.datagrams import DatagramServer
from simulators.expect import AnswerKey, write_expected
from simulators.fleet import Fleet
from simulators.meter import simulated_meters, suite_of
from simulators.serial_port import SerialPort
from simulators.server import MeterServer, listen, raise_file_limit

log = structlog.get_logger(__name__)

SPARE_CONNECTIONS = 2
"""Connections a meter that file descriptors are asked for: one that is served, one that is closing."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The fleet answers: `meters` at `first_host` and the addresses after it, all on `port`."""

    meters: int
    first_host: str
    last_host: str
    port: int
    connections: int
    """How many connections the limit of open files allows at once."""


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
    fleet: Fleet,
    meter_type: MeterType,
    *,
    port: int = 0,
    expect: Path | None = None,
    registry: Path | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    ready: Callable[[Ready], None] | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    stop: asyncio.Event | None = None,
    until_input_ends: bool = False,
    udp: bool = False,
    serial: str = "",
    mode_e: bool = False,
) -> Outcome:
    """Serve the fleet until SIGTERM or SIGINT, or until `stop` where one is given; returns what was noticed.

    `until_input_ends`: also until standard input does, which is when whoever holds its other end is gone.

    `expect`: CSV file for what every meter must have said in the blocks starting in [start, end), by default from
    commissioning to the last one that has ended; or a folder for Parquet files of all that it must have said.
    `registry`: file for the meter list, keys included, readable by its owner alone.
    `udp`: also by UDP, on the same port. `serial`: the first meter also on this serial port, by HDLC, with `mode_e`
    after a sign-on.
    SettingsError where a file or a port can't be had.
    """
    listener = listen(port)
    port = listener.getsockname()[1]
    stopped = stop or asyncio.Event()
    meters = simulated_meters(fleet, meter_type, clock)
    server, datagrams = MeterServer(meters), DatagramServer(meters)
    port_of_first = SerialPort(next(iter(meters.values())), serial, mode_e=mode_e) if serial else None
    connections = raise_file_limit(len(fleet) * SPARE_CONNECTIONS)
    if connections < len(fleet):
        log.warning("too_few_open_files", connections=connections, meters=len(fleet), remedy="raise ulimit -n")
    try:
        if registry is not None:
            suite = suite_of(meter_type)
            _write(
                registry,
                lambda stream: fleet.write_registry(stream, port=port, meter_type=meter_type.name, suite=suite),
                0o600,
            )
        if expect is not None:
            blocks = meter_type.profiles.get("block_load")
            period = 0 if blocks is None else blocks.capture_period_s
            first, last = start or fleet.commissioned_at, end or _last_ended(clock(), period)
            _write_expected(expect, fleet, meter_type, first, last, period)
        await server.start(listener=listener)
        if udp:
            await datagrams.start(port)
        if port_of_first is not None:
            port_of_first.open()
        with (
            _stopped_by_signals(stopped) if stop is None else nullcontext(),
            _stopped_by_end_of_input(stopped) if until_input_ends else nullcontext(),
        ):
            if ready is not None:
                hosts = list(server.meters)
                ready(Ready(len(fleet), hosts[0], hosts[-1], port, connections))
            await stopped.wait()
    finally:
        if port_of_first is not None:
            port_of_first.close()
        await datagrams.close()
        await server.close()
        listener.close()
    return _outcome(server)


def _outcome(server: MeterServer) -> Outcome:
    examples = tuple(
        (meter.identity.serial, title, counter)
        for meter in server.meters.values()
        for title, counter in meter.record.examples
    )
    return Outcome(server.repeats, examples)


def _last_ended(now: datetime, period_s: int) -> datetime:
    """The end of a range of starts that leaves out the interval that is still running."""
    return now - timedelta(seconds=period_s - 1)


def _write_expected(
    place: Path, fleet: Fleet, meter_type: MeterType, start: datetime, end: datetime, period_s: int
) -> None:
    """The answer key: blocks in a CSV file of that name, or all profiles as Parquet files in a folder."""
    if place.suffix == ".csv":
        _write(place, lambda stream: write_expected(stream, fleet, start, end, period_s, meter_type=meter_type))
    else:
        from simulators.expect_tables import write_tables  # pyarrow is large, and seldom asked for

        write_tables(place, [AnswerKey(fleet, meter_type)], start, end)


def _write(file: Path, write: Callable[[TextIO], object], mode: int = 0o644) -> None:
    """Write a file whole or not at all."""
    unfinished = file.with_name(file.name + ".part")
    try:
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
            write(stream)
        unfinished.replace(file)
    except OSError as error:
        raise SettingsError(f"can't write {file}: {error.strerror}") from None


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
