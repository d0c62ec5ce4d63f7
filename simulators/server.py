"""One process, one listening socket, thousands of meters: each answers at its own address in 127.0.0.0/8.

Wrapper and HDLC are served on the same port; the first octet of a connection tells which it is.

The one rule: a meter is told by the local address that its connection came in on, and a connection that came in on
anything but 127.0.0.0/8 is dropped before an octet of it is read, though the socket listens on every address (only so
can one socket answer for a whole /8). What a connection does wrong ends that connection and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial
from typing import cast

import structlog

from profiles.errors import HeadEndError, LinkError, ProtocolError, SettingsError
from simulators.lines import Line, line_of
from simulators.meter import SimulatedMeter
from simulators.push import push, push_kind
from simulators.push_sender import send_push
from simulators.refusals import HangUp
from simulators.state import Destination

IDLE_S = 180.0
"""A connection that nothing came on for so long is closed."""
CONNECTIONS_PER_METER = 4
BACKLOG = 4096
MAX_PUSHING = 1024
"""Pushes that are on their way at one time."""
_FILES_BESIDE = 64
"""Descriptors that the process needs beside its connections."""

log = structlog.get_logger(__name__)


def is_loopback(local_address: object) -> bool:
    """Whether a socket's own name (`getsockname`) lies in 127.0.0.0/8."""
    return isinstance(local_address, tuple) and str(local_address[0]).startswith("127.")


def raise_file_limit(connections: int) -> int:
    """Raise this process's limit of open files for so many connections; returns how many of them it allows."""
    wanted = connections + _FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard) or wanted <= hard:
        attempts = [(wanted, hard)] if 0 <= soft < wanted else []
    else:
        attempts = [(wanted, wanted), (hard, hard)]  # only root may go above the hard limit
    for limits in attempts:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            break
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else min(connections, max(0, soft - _FILES_BESIDE))


def listen(port: int) -> socket.socket:
    """A listening socket on every local address, `port` 0 for a free one; SettingsError where the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", port))  # noqa: S104 - connections from elsewhere are dropped, see above
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise SettingsError(f"can't listen on port {port}: {error.strerror}", remedy="choose another --port") from None
    return listener


class MeterServer:
    """Serves `meters` (by host address) on one listening socket until closed."""

    def __init__(self, meters: Mapping[str, SimulatedMeter], *, idle_s: float = IDLE_S) -> None:
        self.meters = meters
        self.idle_s = idle_s
        self.port = 0
        self.dropped = 0
        """Connections that came in on an address outside 127.0.0.0/8, or on one without a meter."""
        self._open: dict[MeterLink, str] = {}
        self._per_meter: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._pushing: set[asyncio.Task[None]] = set()
        for meter in meters.values():
            meter.call_out = partial(self._call_out, meter)

    async def start(self, port: int = 0, listener: socket.socket | None = None) -> None:
        """Listen on `port` (0: a free one), or on a socket that listens already."""
        listener = listener or listen(port)
        address = listener.getsockname()
        self.port = address[1] if isinstance(address, tuple) else 0
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: MeterLink(self), sock=listener, backlog=BACKLOG)

    async def call_in(self, meter: str, host: str, port: int) -> MeterLink:
        """Have the meter with this address call a head-end that listens; LinkError where nobody does."""
        loop = asyncio.get_running_loop()
        try:
            _, link = await loop.create_connection(lambda: MeterLink(self), host, port, local_addr=(meter, 0))
        except OSError as error:
            raise LinkError(f"{host}:{port} can't be called: {error.strerror}") from None
        return link

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._pushing:
            task.cancel()
        for link in list(self._open):
            link.drop()
        await asyncio.sleep(0)

    def interject(self, meter: str, apdu: bytes, client_sap: int) -> None:
        """Have the meter with this address say something on each of its open connections, though nobody asked."""
        for link, host in self._open.items():
            if host == meter:
                link.say(apdu, client_sap)

    def _call_out(self, meter: SimulatedMeter, name: str, to: Destination) -> None:
        if len(self._pushing) >= MAX_PUSHING:
            log.warning("push_dropped", meter=meter.identity.serial)
            return
        task = asyncio.get_running_loop().create_task(self._push(meter, name, to))
        self._pushing.add(task)
        task.add_done_callback(self._pushing.discard)

    @staticmethod
    async def _push(meter: SimulatedMeter, name: str, to: Destination) -> None:
        try:
            await send_push(meter, [push(meter, name)], to, push_kind(meter.meter_type).client_sap)
        except HeadEndError as error:
            log.warning("push_failed", meter=meter.identity.serial, reason=error.message)

    @property
    def links(self) -> Collection[MeterLink]:
        """The open connections."""
        return self._open.keys()

    @property
    def repeats(self) -> int:
        """How many invocation counters came twice under one key, over all meters."""
        return sum(meter.record.repeats for meter in self.meters.values())

    def admit(self, link: MeterLink, local_address: object) -> SimulatedMeter | None:
        """The meter at this local address, or None where there is none, or it takes no more connections."""
        host = str(local_address[0]) if isinstance(local_address, tuple) else ""
        meter = self.meters.get(host) if is_loopback(local_address) else None
        if meter is None:
            self.dropped += 1
            log.warning("connection_dropped", local_address=str(local_address))
            return None
        if self._per_meter[host] >= CONNECTIONS_PER_METER:
            return None
        self._per_meter[host] += 1
        self._open[link] = host
        return meter

    def forget(self, link: MeterLink) -> None:
        """The connection is gone."""
        host = self._open.pop(link, None)
        if host is not None:
            self._per_meter[host] -= 1
            if not self._per_meter[host]:
                del self._per_meter[host]


class MeterLink(asyncio.Protocol):
    """One accepted connection: frames in, frames out.

    While its peer does not read, nothing more of it is read or answered, so that neither buffer grows.
    """

    def __init__(self, server: MeterServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._meter: SimulatedMeter | None = None
        self._line: Line | None = None
        self._paused = False
        self._idle: asyncio.TimerHandle | None = None

    @property
    def unsent(self) -> int:
        """Octets answered that the peer has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._meter = self._server.admit(self, transport.get_extra_info("sockname"))
        if self._meter is None:
            self._transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        if self._meter is None:
            return
        self._watch()
        if self._line is None:
            self._line = line_of(self._meter, data)
        self._line.feed(data)
        self._answer_all()

    def pause_writing(self) -> None:
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._answer_all()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._close_line()
        self._server.forget(self)

    def say(self, apdu: bytes, client_sap: int) -> None:
        """An APDU that nobody asked for."""
        if self._transport is not None and self._line is not None:
            self._transport.write(self._line.unasked(apdu, client_sap))

    def drop(self) -> None:
        """Cut the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _answer_all(self) -> None:
        try:
            while not self._paused and self._line is not None and (octets := self._line.next()) is not None:
                assert self._transport is not None
                if octets:
                    self._transport.write(octets)
        except HangUp:
            self._close_line()
            assert self._transport is not None
            self._transport.close()
        except ProtocolError as error:
            log.info("connection_closed", reason=error.message)
            self.drop()
        except Exception:
            log.exception("meter_failed")
            self.drop()

    def _close_line(self) -> None:
        """Nothing more is answered."""
        self._meter = None
        if self._line is not None:
            self._line.close()
            self._line = None

    def _watch(self) -> None:
        """Close the connection when nothing comes for `idle_s`."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(self._server.idle_s, self.drop)
