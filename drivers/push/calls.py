"""A meter's TCP connection, read for pushes until it ends, or has to be ended."""

from __future__ import annotations

import asyncio

from drivers.links.stream import Stream
from drivers.push.arrival import Arrival
from drivers.push.receiver import PushReceiver
from drivers.push.reception import Limits, Reception
from profiles.errors import LinkError, LinkTimeout, ProtocolError, SecurityError


class Call:
    """One connection. The one rule: each wait ends by `idle_s` after the last whole APDU, and by `message_s` after the
    first octet of one that is not whole."""

    def __init__(self, stream: Stream, peer: str, reception: Reception) -> None:
        self._stream = stream
        self._peer = peer
        self._reception = reception
        self._limits: Limits = reception.limits
        self._receiver = PushReceiver(peer, max_apdu=self._limits.max_apdu)
        self._clock = asyncio.get_running_loop().time
        self._whole_at = self._clock()
        self._begun_at: float | None = None
        self._refused = 0
        """One after the other."""

    async def serve(self) -> None:
        """Until the meter closes; LinkTimeout, ProtocolError, SecurityError where it is to be closed before."""
        while True:
            try:
                octets = await self._stream.receive(self._wait_s())
            except LinkError:
                if self._receiver.incomplete:
                    raise LinkError("the meter closed the connection within a push") from None
                return
            if octets:
                await self._take(octets)
            elif self._receiver.in_blocks:
                self._receiver.idle()
                await self._send()

    def _wait_s(self) -> float:
        """How long to wait for octets; LinkTimeout where all patience is used up."""
        now, limits = self._clock(), self._limits
        if self._begun_at is not None and now >= self._begun_at + limits.message_s:
            raise LinkTimeout(f"a push that was not whole after {limits.message_s:g} s")
        if now >= self._whole_at + limits.idle_s:
            raise LinkTimeout(f"no push within {limits.idle_s:g} s")
        ends = [self._whole_at + limits.idle_s]
        if self._begun_at is not None:
            ends.append(self._begun_at + limits.message_s)
        if self._receiver.in_blocks:
            ends.append(now + limits.repeat_s)
        return min(ends) - now

    async def _take(self, octets: bytes) -> None:
        try:
            self._receiver.feed(octets)
            while (arrival := self._receiver.next()) is not None:
                await self._handle(arrival)
        except ProtocolError as error:
            self._reception.refuse(error, self._peer)
            raise
        await self._send()
        if not self._receiver.incomplete:
            self._begun_at = None
        elif self._begun_at is None:
            self._begun_at = self._clock()

    async def _handle(self, arrival: Arrival) -> None:
        self._begun_at = None
        await self._send()
        try:
            confirmation = await self._reception.handle(arrival)
        except (SecurityError, ProtocolError):
            self._refused += 1
            if self._refused >= self._limits.max_refused:
                raise SecurityError(f"{self._refused} pushes refused one after the other") from None
        else:
            self._refused = 0
            if confirmation is not None:
                self._receiver.send(arrival.route, confirmation)
                await self._send()
        self._whole_at = self._clock()

    async def _send(self) -> None:
        octets = b"".join(self._receiver.outgoing())
        if octets:
            await self._stream.send(octets)
