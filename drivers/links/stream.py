"""Octets both ways between us and a meter: what framing is put on.

The one rule: every wait ends, in what was asked for, in b"" for nothing, or in a LinkError.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

from profiles.errors import LinkError, LinkTimeout

Spans = tuple[tuple[int, int], ...]
"""Places of octets: from, and to before."""

MAX_WAITING: Final = 128 * 1024
"""Octets that wait to be fetched: with more, the other side has to wait."""
CLOSING_S: Final = 1.0
"""How long the other side has to take what was sent before we closed."""


class Stream(Protocol):
    """An open line."""

    recorded: bool
    """Whether a record of the octets is kept: only then have those in `hidden` to be told."""

    async def send(self, octets: bytes, hidden: Spans = ()) -> None:
        """Hand octets to the line. Those in `hidden` tell a secret: a record leaves them out."""

    async def receive(self, limit_s: float) -> bytes:
        """What has come, at least an octet; b"" when nothing comes in time. LinkError when nothing can any more."""

    async def close(self) -> None:
        """Close the line; it waits for nobody long."""


class TcpStream(asyncio.Protocol):
    """A TCP connection, ours or one that a meter has made; `accepted` is told of it as soon as it stands.

    A protocol with one timer, where asyncio's streams and time-outs cost several times as much: it goes off no later
    than the first wait is over, and looks then; most waits are over long before, and need none of their own.
    """

    recorded = False

    def __init__(self, timeout_s: float, accepted: Callable[[TcpStream], None] | None = None) -> None:
        self._timeout_s = timeout_s
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._waiters: dict[asyncio.Future[bool], float] = {}
        """Until when each waits, in the loop's time."""
        self._timer: asyncio.Handle | None = None
        self._due = 0.0
        """When it goes off. It is not asked itself: what uvloop makes of less than half a millisecond can't tell."""
        self._waiting = bytearray()
        self._held = False
        """Whether too much waits to be fetched for more to be read."""
        self._full = False
        """Whether what was sent waits for the other side to take it."""
        self._ended = ""
        """Why nothing more comes."""
        self._gone = False

    @classmethod
    async def open(cls, host: str, port: int, timeout_s: float, *, name: str) -> TcpStream:
        """Connect within the time-out; LinkError, in which the meter is called `name`, says why not."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, stream = await loop.create_connection(lambda: cls(timeout_s), host, port)
        except TimeoutError:
            raise LinkTimeout(
                f"{name} did not answer within {timeout_s:g} s",
                asked="connect",
                remedy="is the meter powered and its network up?",
            ) from None
        except (OSError, UnicodeError) as error:
            raise not_connected(name, host, error) from None
        return stream

    @property
    def peer(self) -> str:
        """Where the other side is: host and port, an IPv6 address in brackets."""
        host, port = (self._transport.get_extra_info("peername") or ("unknown", 0))[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def send(self, octets: bytes, hidden: Spans = ()) -> None:
        if not self._gone:
            self._transport.write(octets)
        until = self._loop.time() + self._timeout_s
        while self._full and not self._gone:
            if not await self._something(until):
                raise LinkTimeout(f"the meter took nothing more for {self._timeout_s:g} s")
        if self._gone:
            raise LinkError(f"the connection broke while sending: {self._ended}")

    async def receive(self, limit_s: float) -> bytes:
        until = self._loop.time() + limit_s
        while not self._waiting:
            if self._ended:
                raise LinkError(self._ended)
            if not await self._something(until):
                return b""
        octets = bytes(self._waiting)
        self._waiting.clear()
        if self._held and not self._gone:
            self._held = False
            self._transport.resume_reading()
        return octets

    async def close(self) -> None:
        """Close; what the other side does not take within a second is dropped, and the socket with it."""
        self._transport.close()
        until = self._loop.time() + CLOSING_S
        try:
            while not self._gone and await self._something(until):
                pass
        finally:
            self._transport.abort()

    def abort(self) -> None:
        """Cut the connection now."""
        self._transport.abort()

    async def _something(self, until: float) -> bool:
        """Wait for anything to happen on the connection; False where nothing does until then, in the loop's time."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiters[waiter] = until
        if self._timer is None or self._due > until:
            self._look_again()
        try:
            return await waiter
        finally:
            del self._waiters[waiter]

    def _tell(self) -> None:
        for waiter in self._waiters:
            _wake(waiter, True)

    def _look(self) -> None:
        """End the waits whose time is over."""
        now = self._loop.time()
        for waiter, until in self._waiters.items():
            if until <= now:
                _wake(waiter, False)
        self._look_again()

    def _look_again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        left = [until for waiter, until in self._waiters.items() if not waiter.done()]
        self._due = min(left, default=0.0)
        self._timer = self._loop.call_at(self._due, self._look) if left else None

    # -- what the loop tells us -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        if self._accepted is not None:
            self._accepted(self)

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) > MAX_WAITING and not self._held:
            self._held = True
            self._transport.pause_reading()
        self._tell()

    def eof_received(self) -> bool:
        """The other side says nothing more; it may still listen, so that the connection is ours to close."""
        self._ended = _CLOSED
        self._tell()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        if self._timer is not None:
            self._timer.cancel()
        self._ended = self._ended or (_CLOSED if exc is None else f"the connection broke: {_reason(exc)}")
        self._tell()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._tell()


_CLOSED: Final = "the meter closed the connection without an answer"


def _wake(waiter: asyncio.Future[bool], news: bool) -> None:
    if not waiter.done():
        waiter.set_result(news)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def not_connected(name: str, host: str, error: OSError | UnicodeError) -> LinkError:
    """What to tell an operator of an address that can't be reached."""
    reason = _reason(error)
    if isinstance(error, socket.gaierror):
        return LinkError(
            f"the host name {host!r} is not known: {reason}",
            asked="connect",
            remedy="check the address in the registry",
            retry=True,
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return LinkError(
            f"no socket for {name}: {reason}",
            asked="connect",
            remedy="raise this machine's limit of open files, or lower collection.max_open_sessions",
        )
    refused = "refused the connection" if isinstance(error, ConnectionRefusedError) else "can't be reached"
    return LinkError(f"{name} {refused}: {reason}", asked="connect", remedy="check host, port and firewall")
