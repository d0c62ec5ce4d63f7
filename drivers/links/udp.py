"""UDP: a datagram is one wrapper frame, whole or not at all (Green Book, clause 7.3.3).

The one rule: a datagram that is no wrapper frame, or comes from elsewhere, is passed over and counted; anybody can
send one. A request whose datagram is lost ends in a time-out: only the association knows whether it may ask again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from drivers.dlms.wrapper import VERSION
from drivers.links.stream import Spans, not_connected
from profiles.errors import LinkError, LinkTimeout

MAX_WAITING: Final = 64
"""Datagrams that wait to be fetched; more are dropped."""


class UdpStream(asyncio.DatagramProtocol):
    """A socket that hears one peer only. `passed_over` counts datagrams that were no frames or came too fast."""

    recorded = False

    def __init__(self) -> None:
        self.passed_over = 0
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._broken: OSError | None = None
        self._transport: asyncio.DatagramTransport

    @classmethod
    async def open(cls, host: str, port: int, timeout_s: float, *, name: str) -> UdpStream:
        """A socket for this peer; LinkError where its name is not known. Nothing is sent yet."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                transport, stream = await loop.create_datagram_endpoint(cls, remote_addr=(host, port))
        except TimeoutError:
            raise LinkTimeout(f"{name} was not found within {timeout_s:g} s", asked="connect") from None
        except (OSError, UnicodeError) as error:
            raise not_connected(name, host, error) from None
        stream._transport = transport
        return stream

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not _is_frame(data) or len(self._waiting) >= MAX_WAITING:
            self.passed_over += 1
            return
        self._waiting.append(data)
        self._news.set()

    def error_received(self, exc: Exception) -> None:
        self._broken = exc if isinstance(exc, OSError) else OSError(str(exc))
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.error_received(exc or OSError("the socket is closed"))

    async def send(self, octets: bytes, hidden: Spans = ()) -> None:
        self._transport.sendto(octets)

    async def receive(self, limit_s: float) -> bytes:
        try:
            async with asyncio.timeout(limit_s):
                while not self._waiting and self._broken is None:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return b""
        if self._waiting:
            return self._waiting.popleft()
        assert self._broken is not None
        broken, self._broken = self._broken, None
        raise LinkError(f"the datagram was refused: {broken.strerror or broken}")

    async def close(self) -> None:
        self._transport.abort()


def _is_frame(datagram: bytes) -> bool:
    size = int.from_bytes(datagram[6:8], "big")
    return datagram[:2] == VERSION.to_bytes(2, "big") and 0 < size == len(datagram) - 8
