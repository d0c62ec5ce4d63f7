"""The DLMS/COSEM wrapper over a stream: TCP, UDP datagrams one after the other, a transcript.

Rule: a frame for another pair of wPorts than ours is not an answer to us; it is counted and passed over.
"""

from __future__ import annotations

import asyncio

from drivers.dlms.wrapper import HEADER_OCTETS, Unwrapper, wrap
from drivers.links.secrets import secret_places
from drivers.links.stream import Spans, Stream
from profiles.errors import LinkTimeout


class WrapperLink:
    """An open connection. Ask for one association at a time: `client` and `server` are its wPorts."""

    def __init__(self, stream: Stream, *, client: int, server: int, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream = stream
        self._frames = Unwrapper()
        self.client = client
        self.server = server
        self.timeout_s = timeout_s
        self.octets_in = self.octets_out = self.passed_over = 0

    async def send(self, apdu: bytes) -> None:
        """Hand an APDU to the network."""
        frame = wrap(self.client, self.server, apdu)
        await self._stream.send(frame, _secrets_of(frame) if self._stream.recorded else ())
        self.octets_out += len(frame)

    async def receive(self) -> bytes:
        """The next APDU for our wPorts, within the time-out; LinkError when the meter closes."""
        clock = self._loop.time
        deadline = clock() + self.timeout_s
        while True:
            frame = self._frames.next()
            if frame is None:
                left = deadline - clock()
                octets = await self._stream.receive(left) if left > 0 else b""
                if not octets:
                    raise LinkTimeout(f"no answer within {self.timeout_s:g} s")
                self.octets_in += len(octets)
                self._frames.feed(octets)
            elif frame.source == self.server and frame.destination == self.client:
                return frame.apdu
            else:
                self.passed_over += 1

    async def close(self) -> None:
        """Close the stream."""
        await self._stream.close()


def _secrets_of(frame: bytes) -> Spans:
    return tuple((begin + HEADER_OCTETS, end + HEADER_OCTETS) for begin, end in secret_places(frame[HEADER_OCTETS:]))
