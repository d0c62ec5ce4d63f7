"""A man in the middle: a TCP proxy between head-end and meter that sees every APDU and may change, forge or cut.

The one rule: what it does is two functions, one asked before a request goes to the meter and one with each answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from drivers.dlms.wrapper import Frame, Unwrapper, wrap

AARE, RLRE, GLO_GET_RESPONSE, GET_RESPONSE, EXCEPTION = 0x61, 0x63, 0xCC, 0xC4, 0xD8
PUBLIC, METER_READER = 16, 32
"""Client SAPs."""


class Cut(Exception):  # noqa: N818 - not an error: what the man in the middle does
    """Raised by a tamperer to cut both connections."""


@dataclass
class Recording:
    """One connection: who asked, what was asked, and what the meter itself answered."""

    client: int = 0
    requests: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    def count(self, tag: int) -> int:
        """How many answers of this tag the meter has given here."""
        return sum(answer[0] == tag for answer in self.answers)


Forge = Callable[[Recording, bytes], Sequence[bytes] | None]
"""Given the request: APDUs to answer it with, so that the meter never sees it; None lets it pass."""
Tamper = Callable[[Recording, bytes], Sequence[bytes]]
"""Given the meter's answer: APDUs to pass on in its place."""


def let_pass(recording: Recording, request: bytes) -> None:
    """Forges nothing."""


def honest(recording: Recording, answer: bytes) -> list[bytes]:
    """Tampers with nothing."""
    return [answer]


class TamperingProxy:
    """Stands before the meter at `host` and `port` until its block ends; `forge` and `tamper` may change meanwhile."""

    def __init__(self, host: str, port: int) -> None:
        self.forge: Forge = let_pass
        self.tamper: Tamper = honest
        self.recordings: list[Recording] = []
        self.port = 0
        self.meter = (host, port)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}?timeout=5"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TamperingProxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recording = Recording()
        self.recordings.append(recording)
        to_meter = (await asyncio.open_connection(*self.meter))[::-1]
        try:
            await self._relay(recording, reader, writer, *to_meter)
        except (Cut, ConnectionError):
            pass
        finally:
            writer.close()
            to_meter[0].close()

    async def _relay(
        self,
        recording: Recording,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        meter_writer: asyncio.StreamWriter,
        meter_reader: asyncio.StreamReader,
    ) -> None:
        requests, answers = Unwrapper(), Unwrapper()
        while (request := await _next(reader, requests)) is not None:
            recording.client = request.source
            recording.requests.append(request.apdu)
            forged = self.forge(recording, request.apdu)
            if forged is None:
                meter_writer.write(wrap(request.source, request.destination, request.apdu))
                answer = await _next(meter_reader, answers)
                if answer is None:
                    return
                recording.answers.append(answer.apdu)
                forged = self.tamper(recording, answer.apdu)
            for apdu in forged:
                writer.write(wrap(request.destination, request.source, apdu))


async def _next(reader: asyncio.StreamReader, frames: Unwrapper) -> Frame | None:
    while (frame := frames.next()) is None:
        data = await reader.read(65_536)
        if not data:
            return None
        frames.feed(data)
    return frame
