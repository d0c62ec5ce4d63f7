"""Meters that call in: a listening TCP socket whose connections become links or are read for pushes.

The one rule: whoever connects is nobody yet. So connections are bounded, each has a handler that must end by itself
(every wait on a link has a limit), and none outlives the listener.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from drivers.links.stream import TcpStream
from profiles.errors import HeadEndError, LinkError

MAX_CONNECTIONS: Final = 1000
BACKLOG: Final = 1024

log = structlog.get_logger(__name__)

Handler = Callable[[TcpStream, str], Awaitable[None]]
"""Given the connection of a meter and where it comes from; the connection is closed when it returns."""


class Listener:
    """Accepts connections, IPv4 and IPv6, until closed. `ports` are those it listens on; `turned_away` had no room.

    `max_per_source` bounds the connections of one network address.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        timeout_s: float,
        max_connections: int = MAX_CONNECTIONS,
        max_per_source: int | None = None,
    ) -> None:
        self._handler = handler
        self._timeout_s = timeout_s
        self._max_connections = max_connections
        self._max_per_source = max_connections if max_per_source is None else max_per_source
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._sources: Counter[str] = Counter()
        self.turned_away = 0

    async def start(self, host: str | None = None, port: int = 0) -> None:
        """Listen on one address, or on all of this machine; LinkError where that can't be."""
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connection, host, port, backlog=BACKLOG)
        except OSError as error:
            place = f"{host or 'every address'}, port {port}"
            raise LinkError(
                f"can't listen on {place}: {error.strerror}", remedy="choose another address or port"
            ) from None

    @property
    def ports(self) -> tuple[int, ...]:
        """The port of each listening socket."""
        sockets = self._server.sockets if self._server is not None else ()
        return tuple(listening.getsockname()[1] for listening in sockets)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def _connection(self) -> TcpStream:
        return TcpStream(self._timeout_s, self._accept)

    def _accept(self, stream: TcpStream) -> None:
        source = stream.peer.rpartition(":")[0]
        if len(self._open) >= self._max_connections or self._sources[source] >= self._max_per_source:
            self.turned_away += 1
            stream.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(stream))
        self._open.add(task)
        self._sources[source] += 1
        task.add_done_callback(lambda done: self._ended(done, source))

    def _ended(self, task: asyncio.Task[None], source: str) -> None:
        self._open.discard(task)
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]

    async def _serve(self, stream: TcpStream) -> None:
        peer = stream.peer
        try:
            await self._handler(stream, peer)
        except HeadEndError as error:
            log.info("call_ended", peer=peer, reason=error.message)
        except Exception:
            log.exception("call_failed", peer=peer)
        finally:
            await stream.close()

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._open, return_exceptions=True)
