"""Listens for pushes on TCP and UDP, IPv4 and IPv6.

async with serve_pushes("::", lookup=lookup, on_push=keep) as listener: ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from drivers.links.listen import Listener
from drivers.links.stream import Stream, TcpStream
from drivers.links.transcript import TracedStream, Transcript
from drivers.push.calls import Call
from drivers.push.datagrams import Datagrams
from drivers.push.reception import Limits, Lookup, OnPush, Receiving, Reception

PORT: Final = 4059
"""Registered for DLMS/COSEM, TCP and UDP."""

TranscriptOf = Callable[[str], Transcript]
"""Given where a connection comes from: a transcript of its own."""


class PushListener:
    """Open sockets, what came in by them, and what was turned away."""

    def __init__(self, reception: Receiving, transcript_of: TranscriptOf | None = None) -> None:
        self._reception = reception
        self._transcript_of = transcript_of
        self._calls = Listener(
            self._serve,
            timeout_s=reception.limits.send_s,
            max_connections=reception.limits.max_connections,
            max_per_source=reception.limits.max_per_source,
        )
        self._datagrams: list[Datagrams] = []

    @property
    def tcp_ports(self) -> tuple[int, ...]:
        """Of each listening TCP socket."""
        return self._calls.ports

    @property
    def udp_ports(self) -> tuple[int, ...]:
        """Of each listening UDP socket."""
        return tuple(datagrams.port for datagrams in self._datagrams)

    @property
    def connections(self) -> int:
        """How many TCP connections are open."""
        return self._calls.connections

    @property
    def kept(self) -> int:
        """Pushes that `on_push` has kept."""
        return self._reception.kept

    @property
    def refused(self) -> int:
        """Pushes, and octets that are none, that were refused."""
        return self._reception.refused

    @property
    def failed(self) -> int:
        """Pushes that our side did not keep."""
        return self._reception.failed

    @property
    def turned_away(self) -> int:
        """Connections and datagrams that there was no room for."""
        return self._calls.turned_away + sum(datagrams.dropped for datagrams in self._datagrams)

    async def start(self, host: str | None, tcp_port: int | None, udp_port: int | None) -> None:
        """Listen; None as a port: not by that. LinkError where that can't be."""
        if tcp_port is not None:
            await self._calls.start(host, tcp_port)
        if udp_port is not None:
            self._datagrams = await Datagrams.open(self._reception, host, udp_port)

    async def close(self) -> None:
        """Close every socket; what is being kept is broken off, unconfirmed."""
        await self._calls.close()
        for datagrams in self._datagrams:
            await datagrams.close()

    async def _serve(self, stream: TcpStream, peer: str) -> None:
        line: Stream = stream
        if self._transcript_of is not None:
            line = TracedStream(stream, self._transcript_of(peer))
        try:
            await Call(line, peer, self._reception).serve()
        finally:
            await line.close()


@asynccontextmanager
async def serve_pushes(
    host: str | None = None,
    *,
    lookup: Lookup,
    on_push: OnPush,
    tcp_port: int | None = PORT,
    udp_port: int | None = PORT,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    transcript_of: TranscriptOf | None = None,
) -> AsyncIterator[PushListener]:
    """Listen on one address, or on all of this machine, to the end of the block. A port of 0 takes a free one, None
    none; `transcript_of` gives the transcript that a TCP connection is to be recorded in. LinkError where that can't
    be."""
    listener = PushListener(Reception(lookup, on_push, limits), transcript_of)
    try:
        await listener.start(host, tcp_port, udp_port)
        yield listener
    finally:
        await listener.close()
