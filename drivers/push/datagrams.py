"""Pushes in datagrams: one socket, many senders, each with what is half received of it.

The one rule: anybody can send a datagram in anybody's name. So what is kept for a sender is bounded and soon forgotten,
and a datagram for which there is no room is dropped and counted.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, cast

import structlog

from drivers.push.arrival import Arrival
from drivers.push.receiver import PushReceiver
from drivers.push.reception import Receiving
from profiles.errors import HeadEndError, LinkError, ProtocolError, SecurityError

log = structlog.get_logger(__name__)

Address = tuple[Any, ...]


@dataclass(slots=True)
class _Sender:
    """What came from one address, since when, and when blocks were last asked for."""

    receiver: PushReceiver
    since: float


class Datagrams(asyncio.DatagramProtocol):
    """One listening UDP socket. `dropped` counts datagrams and pushes that there was no room for."""

    def __init__(self, reception: Receiving) -> None:
        self.dropped = 0
        self._reception = reception
        self._limits = reception.limits
        self._senders: OrderedDict[Address, _Sender] = OrderedDict()
        self._handled: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._tending = self._loop.create_task(self._tend())
        self._transport: asyncio.DatagramTransport

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._transport.get_extra_info("sockname")[1])

    @classmethod
    async def open(cls, reception: Receiving, host: str | None, port: int) -> list[Datagrams]:
        """A socket for every address of `host`, or of this machine; LinkError where that can't be."""
        loop = asyncio.get_running_loop()
        opened: list[Datagrams] = []
        try:
            for listening in await _sockets(host, port):
                _, datagrams = await loop.create_datagram_endpoint(lambda: cls(reception), sock=listening)
                opened.append(datagrams)
        except OSError as error:
            for datagrams in opened:
                await datagrams.close()
            place = f"{host or 'every address'}, UDP port {port}"
            raise LinkError(
                f"can't listen on {place}: {error.strerror or error}", remedy="choose another address or port"
            ) from None
        return opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # the loops' own are one in all but name

    def datagram_received(self, data: bytes, addr: Address) -> None:
        sender = self._senders.pop(addr, None) or _Sender(self._new(addr), self._loop.time())
        receiver = sender.receiver
        try:
            receiver.feed(data)
            while (arrival := receiver.next()) is not None:
                self._begin(arrival, receiver, addr)
        except ProtocolError as error:
            self._reception.refuse(error, _shown(addr))
        self._send(receiver, addr)
        if not receiver.incomplete:
            sender.since = self._loop.time()
        self._senders[addr] = sender
        if len(self._senders) > self._limits.max_senders:
            self._senders.popitem(last=False)

    def error_received(self, exc: Exception) -> None:
        """An answer of ours was not taken: whoever sent the push knows, or sends it again."""

    async def close(self) -> None:
        """Close the socket, and end what is being handled."""
        self._transport.abort()
        tasks = [self._tending, *self._handled]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _new(self, addr: Address) -> PushReceiver:
        return PushReceiver(_shown(addr), datagrams=True, max_apdu=self._limits.max_apdu)

    def _begin(self, arrival: Arrival, receiver: PushReceiver, addr: Address) -> None:
        if len(self._handled) >= self._limits.max_waiting:
            self.dropped += 1
            return
        task = self._loop.create_task(self._handle(arrival, receiver, addr))
        self._handled.add(task)
        task.add_done_callback(self._handled.discard)

    async def _handle(self, arrival: Arrival, receiver: PushReceiver, addr: Address) -> None:
        try:
            confirmation = await self._reception.handle(arrival)
        except (SecurityError, ProtocolError):
            return
        except HeadEndError as error:
            log.warning("push_not_kept", peer=arrival.peer, reason=error.message)
            return
        except Exception:
            log.exception("push_failed", peer=arrival.peer)
            return
        if confirmation is not None:
            receiver.send(arrival.route, confirmation)
            self._send(receiver, addr)

    def _send(self, receiver: PushReceiver, addr: Address) -> None:
        for datagram in receiver.outgoing():
            self._transport.sendto(datagram, addr)

    async def _tend(self) -> None:
        """Ask again for blocks that are missing, and forget senders after their time."""
        while True:
            await asyncio.sleep(self._limits.repeat_s)
            for addr, sender in list(self._senders.items()):
                if self._loop.time() >= sender.since + self._limits.message_s:
                    del self._senders[addr]
                elif sender.receiver.in_blocks:
                    self._ask_again(addr, sender.receiver)

    def _ask_again(self, addr: Address, receiver: PushReceiver) -> None:
        try:
            receiver.idle()
        except ProtocolError as error:
            self._reception.refuse(error, _shown(addr))
            del self._senders[addr]
        else:
            self._send(receiver, addr)


async def _sockets(host: str | None, port: int) -> list[socket.socket]:
    """Bound ones; IPv4 and IPv6 apart, so that a meter has one address whichever way it comes."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE if host is None else 0
    )
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listening = socket.socket(family, kind, protocol)
            sockets.append(listening)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.setblocking(False)
            listening.bind(address)
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets


def _shown(addr: Address) -> str:
    host, port = addr[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
