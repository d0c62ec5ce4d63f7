"""A meter's TCP connection, read for pushes until it ends, or has to be ended."""

from __future__ import annotations

import asyncio

from drivers.links.stream import Stream
from drivers.push.arrival import Arrival
from drivers.push.receiver import PushReceiver
from drivers.push.reception import Limits, Receiving
from profiles.errors import HeadEndError, LinkError, LinkTimeout, ProtocolError, SecurityError


class Call:
    """One connection. The one rule: each wait ends by `idle_s` after the last whole APDU, and by `message_s` after the
    first octet of one that is not whole.

    One connection may bring the pushes of many meters, so several are handled at one time, and each is confirmed when
    it is safe, in whatever order that comes.
    """

    def __init__(self, stream: Stream, peer: str, reception: Receiving) -> None:
        self._stream = stream
        self._peer = peer
        self._reception = reception
        self._limits: Limits = reception.limits
        self._receiver = PushReceiver(peer, max_apdu=self._limits.max_apdu)
        self._clock = asyncio.get_running_loop().time
        self._whole_at = self._clock()
        self._begun_at: float | None = None
        self._room = asyncio.Semaphore(self._limits.max_at_once)
        self._refused = 0
        """One after the other."""
        self._ended: Exception | None = None
        """Why the connection is closed by us."""

    async def serve(self) -> None:
        """Until the meter closes, and what it has pushed is handled. LinkTimeout, ProtocolError, SecurityError where it
        is to be closed before, and what handling raises where our side could not keep a push."""
        async with asyncio.TaskGroup() as handling:
            try:
                await self._read(handling)
            except HeadEndError as error:
                self._ended = self._ended or error
        if self._ended is not None:
            raise self._ended

    async def _read(self, handling: asyncio.TaskGroup) -> None:
        while True:
            try:
                octets = await self._stream.receive(self._wait_s())
            except LinkError:
                if self._receiver.incomplete:
                    raise LinkError("the meter closed the connection within a push") from None
                return
            if octets:
                await self._take(octets, handling)
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

    async def _take(self, octets: bytes, handling: asyncio.TaskGroup) -> None:
        try:
            self._receiver.feed(octets)
            while (arrival := self._receiver.next()) is not None:
                self._begun_at, self._whole_at = None, self._clock()
                await self._send()
                await self._room.acquire()
                if self._ended is not None:
                    return
                handling.create_task(self._handle(arrival))
        except ProtocolError as error:
            self._reception.refuse(error, self._peer)
            raise
        await self._send()
        if not self._receiver.incomplete:
            self._begun_at = None
        elif self._begun_at is None:
            self._begun_at = self._clock()

    async def _handle(self, arrival: Arrival) -> None:
        """Never raises: pushes beside this one are to be kept all the same."""
        try:
            confirmation = await self._reception.handle(arrival)
            self._refused = 0
            if confirmation is not None:
                self._receiver.send(arrival.route, confirmation)
                await self._send()
        except (SecurityError, ProtocolError):
            self._refused += 1
            if self._refused >= self._limits.max_refused:
                await self._end(SecurityError(f"{self._refused} pushes refused one after the other"))
        except Exception as error:
            await self._end(error)
        finally:
            self._room.release()
            self._whole_at = self._clock()

    async def _end(self, error: Exception) -> None:
        """Close the connection, which ends the reading of it."""
        self._ended = self._ended or error
        await self._stream.close()

    async def _send(self) -> None:
        octets = b"".join(self._receiver.outgoing())
        if octets:
            await self._stream.send(octets)
