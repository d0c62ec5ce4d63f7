"""HDLC over any stream of octets: a socket, a serial port, a transcript."""

from __future__ import annotations

import asyncio
import contextlib

from drivers.address import Hdlc
from drivers.hdlc.addresses import server_address
from drivers.hdlc.client import HdlcClient, Procedure, T, Write
from drivers.hdlc.parameters import Parameters
from drivers.links.secrets import secret_places
from drivers.links.stream import Stream
from profiles.errors import HeadEndError


class HdlcLink:
    """An open data link. `client` and `server` are its SAPs; `data_link` is the state behind it."""

    def __init__(self, stream: Stream, *, client: int, server: int, hdlc: Hdlc, timeout_s: float) -> None:
        """ProtocolError where the addresses don't fit HDLC."""
        self._stream = stream
        self.client = client
        self.server = server
        self.timeout_s = timeout_s
        self._answer: bytes | None = None
        """Waits behind the pushes that came with it."""
        self.data_link = HdlcClient(
            client,
            server_address(server, hdlc.physical, hdlc.octets),
            clock=asyncio.get_running_loop().time,
            offered=Parameters(hdlc.information, hdlc.information, hdlc.window, hdlc.window),
            timeout_s=timeout_s,
        )

    async def connect(self) -> None:
        """Agree with the meter. LinkTimeout, MeterBusy, ProtocolError, LinkError."""
        await self._run(self.data_link.connect())

    async def send(self, apdu: bytes) -> None:
        """Send an APDU, in as many frames as it takes; all but the last window is acknowledged when this returns."""
        await self._run(self.data_link.send(apdu, secret_places(apdu) if self._stream.recorded else ()))

    async def receive(self) -> bytes:
        """The next APDU of the meter; what it pushed in UI frames comes before the answer that it came with."""
        if not self.data_link.unnumbered and self._answer is None:
            self._answer = await self._run(self.data_link.receive())
        if self.data_link.unnumbered:
            return self.data_link.unnumbered.popleft()
        answer, self._answer = self._answer, None
        assert answer is not None, "it came, and nothing was pushed"
        return answer

    async def close(self) -> None:
        """Tell the meter, as long as it listens, and close the stream."""
        try:
            with contextlib.suppress(HeadEndError):
                await self._run(self.data_link.disconnect())
        finally:
            await self._stream.close()

    async def _run(self, procedure: Procedure[T]) -> T:
        try:
            step = next(procedure)
            while True:
                if isinstance(step, Write):
                    await self._stream.send(step.octets, step.hidden)
                    step = procedure.send(None)
                else:
                    step = procedure.send(await self._stream.receive(step.seconds))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            procedure.close()
