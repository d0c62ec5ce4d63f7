"""One process, one listening socket, thousands of meters: each answers at its own address in 127.0.0.0/8.

Where IPv6 is asked for, each has a port of its own on [::1] too, since ::1 is all there is of loopback addresses.
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
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import cast

import structlog

from profiles.errors import HeadEndError, LinkError, ProtocolError, SettingsError
from simulators.faulty_link import FaultyLink
from simulators.faulty_meter import FaultyMeter
from simulators.lines import Line, line_of
from simulators.meter import SimulatedMeter
from simulators.push import push, push_kind
from simulators.push_sender import send_push
from simulators.refusals import HangUp
from simulators.state import Destination
from simulators.supply import always

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


def most_connections(meter: SimulatedMeter) -> int:
    """How many connections a meter takes at one time."""
    one = isinstance(meter, FaultyMeter) and "one_association" in meter.faults
    return 1 if one else CONNECTIONS_PER_METER


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


def listen_on_ports(number: int, first: int) -> list[socket.socket]:
    """Listening sockets on so many ports of [::1], from `first` on, or free ones where it is 0. SettingsError."""
    listeners: list[socket.socket] = []
    try:
        for port in range(first, first + number):
            listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("::1", port if first else 0))
            listener.listen(CONNECTIONS_PER_METER)
            listener.setblocking(False)
    except (OSError, OverflowError) as error:
        for listener in listeners:
            listener.close()
        remedy = "choose other ports, or fewer meters" if len(listeners) + first <= 0xFFFF else "ports end at 65535"
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise SettingsError(f"can't listen on [::1]:{first + len(listeners) - 1}: {reason}", remedy=remedy) from None
    return listeners


class MeterServer:
    """Serves `meters` (by host address) on one listening socket until closed."""

    def __init__(self, meters: Mapping[str, SimulatedMeter], *, idle_s: float = IDLE_S) -> None:
        self.meters = meters
        self.idle_s = idle_s
        self.port = 0
        self.dropped = 0
        """Connections that came in on an address outside 127.0.0.0/8, or on one without a meter."""
        self.answers = 0
        """How many were given."""
        self.has_supply: Callable[[int], bool] = always
        """Whether the meter with an index does; nothing is heard of one that does not."""
        self.ports: dict[int, SimulatedMeter] = {}
        """The meters by their ports on [::1], where they have any."""
        self._open: dict[MeterLink, str] = {}
        self._per_meter: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []
        self._pushing: set[asyncio.Task[None]] = set()
        for meter in meters.values():
            meter.call_out = partial(self._call_out, meter)

    async def start(self, port: int = 0, listener: socket.socket | None = None) -> None:
        """Listen on `port` (0: a free one), or on a socket that listens already."""
        listener = listener or listen(port)
        address = listener.getsockname()
        self.port = address[1] if isinstance(address, tuple) else 0
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(lambda: MeterLink(self), sock=listener, backlog=BACKLOG))

    async def start_on_ports(self, first: int = 0) -> None:
        """Listen for each meter on a port of its own on [::1] too, from `first` on (0: free ones). SettingsError."""
        loop = asyncio.get_running_loop()
        for meter, listener in zip(self.meters.values(), listen_on_ports(len(self.meters), first), strict=True):
            self.ports[listener.getsockname()[1]] = meter
            self._servers.append(await loop.create_server(lambda: MeterLink(self), sock=listener))

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
        for server in self._servers:
            server.close()
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
        meter = self._meter_at(local_address)
        if meter is None:
            self.dropped += 1
            log.warning("connection_dropped", local_address=str(local_address))
            return None
        host = meter.identity.host
        if self._per_meter[host] >= most_connections(meter):
            return None
        self._per_meter[host] += 1
        self._open[link] = host
        return meter

    def _meter_at(self, local_address: object) -> SimulatedMeter | None:
        if is_loopback(local_address):
            return self.meters.get(cast(tuple[str, int], local_address)[0])
        if isinstance(local_address, tuple) and local_address[0] == "::1":
            return self.ports.get(local_address[1])
        return None

    def forget(self, link: MeterLink) -> None:
        """The connection is gone."""
        host = self._open.pop(link, None)
        if host is not None:
            self._per_meter[host] -= 1
            if not self._per_meter[host]:
                del self._per_meter[host]


class MeterLink(asyncio.Protocol):
    """One accepted connection: frames in, frames out.

    A meter whose supply fails is silent, and has forgotten the connection when it is back.
    While its peer does not read, nothing more of it is read or answered, so that neither buffer grows.
    """

    def __init__(self, server: MeterServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._meter: SimulatedMeter | None = None
        self._line: Line | None = None
        self._faulty: FaultyLink | None = None
        self._paused = False
        self._dark = False
        """Whether the meter's supply has failed since the connection was made."""
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
            if isinstance(self._meter, FaultyMeter):
                self._faulty = FaultyLink(self._meter, self._transport, self._go_on)
            self._watch()

    def data_received(self, data: bytes) -> None:
        if self._meter is None or (self._faulty is not None and self._faulty.dead):
            return
        if not self._server.has_supply(self._meter.identity.index):
            self._dark = True
            return
        if self._dark:
            self.drop()
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
        self._go_on()

    def _go_on(self) -> None:
        """Nothing is in the way of further answers any more."""
        if not self._held and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._answer_all()

    @property
    def _held(self) -> bool:
        """Whether the next answer has to wait: the peer does not read, or a faulty meter has one on its way."""
        return self._paused or (self._faulty is not None and self._faulty.busy)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._faulty is not None:
            self._faulty.close()
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
            while not self._held and self._line is not None and (octets := self._line.next()) is not None:
                if octets:
                    self._send(octets)
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

    def _send(self, octets: bytes) -> None:
        assert self._transport is not None
        self._server.answers += 1
        if self._faulty is None:
            self._transport.write(octets)
            return
        self._faulty.send(octets)
        if self._faulty.busy and not self._transport.is_closing():
            self._transport.pause_reading()

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
