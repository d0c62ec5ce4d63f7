"""How long a serial line must take for what went over it, and how long it took.

The one rule: only octets at the meter's own speed count; a mode E sign-on at 300 baud, which waits more than it says,
stands apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drivers.links.stream import Spans, Stream

BITS: Final = 10
"""Of an octet on the line: a start bit, 8 data bits, a stop bit."""


@dataclass(frozen=True, slots=True)
class LineUse:
    """What went over a line. `line_s`: what its octets take at its speed, one after the other, as they do in normal
    response mode; `taken_s`: from the first octet to the last, without `opening_s`, that of the sign-ons."""

    baud: int
    sent: int
    received: int
    line_s: float
    taken_s: float
    opening_s: float


class LineTime:
    """Counts what goes over one serial line in any number of connections, one after the other."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._began: float | None = None
        self._last = 0.0
        self._baud = 0
        self._sent = 0
        self._received = 0
        self._line_s = 0.0
        self._opening_s = 0.0

    def opened(self, began: float, baud: int, *, signed_on: bool) -> None:
        """A connection stands, at this speed; `began`: when it was begun, in the clock's time."""
        now = self.clock()
        self._began = began if self._began is None else self._began
        self._baud = baud
        self._opening_s += now - began if signed_on else 0.0
        self._last = now

    def sent(self, octets: int) -> None:
        """So many went out."""
        self._sent += octets
        self._counted(octets)

    def received(self, octets: int) -> None:
        """So many came."""
        self._received += octets
        self._counted(octets)

    def _counted(self, octets: int) -> None:
        self._line_s += octets * BITS / self._baud
        self._last = self.clock()

    @property
    def use(self) -> LineUse | None:
        """All so far; None where no serial line was opened."""
        if self._began is None:
            return None
        taken_s = self._last - self._began - self._opening_s
        return LineUse(self._baud, self._sent, self._received, self._line_s, taken_s, self._opening_s)


class TimedStream:
    """A stream whose octets are counted."""

    def __init__(self, stream: Stream, line_time: LineTime) -> None:
        self._stream = stream
        self._line_time = line_time
        self.recorded = stream.recorded

    async def send(self, octets: bytes, hidden: Spans = ()) -> None:
        await self._stream.send(octets, hidden)
        self._line_time.sent(len(octets))

    async def receive(self, limit_s: float) -> bytes:
        octets = await self._stream.receive(limit_s)
        if octets:
            self._line_time.received(len(octets))
        return octets

    async def close(self) -> None:
        await self._stream.close()
