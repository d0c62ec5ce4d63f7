"""A serial line as slow as a real one: two pseudo-terminals, and between them the time that ten bits an octet take.

Each direction is a wire: an octet arrives when its last bit would, at the speed that the sender's port is set to; where
the other port is set to another speed, it arrives as another octet.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import termios
import threading
import time
import tty
from collections import deque
from collections.abc import Iterator

_READ = 4096
_BAUDS = {getattr(termios, name): int(name[1:]) for name in dir(termios) if re.fullmatch(r"B[1-9]\d*", name)}
"""By the code that a port is set with."""
_GARBLED = 0x5A


class SlowLine:
    """`meter` and `client` are the paths of its ends; `octets` counts what went over it."""

    def __init__(self) -> None:
        self._ends = [pty.openpty() for _ in range(2)]
        for outer, inner in self._ends:
            tty.setraw(outer)
            tty.setraw(inner)
        self.meter, self.client = (os.ttyname(inner) for _, inner in self._ends)
        self.octets = 0
        self._closing = False

    def carry(self) -> None:
        """Until closed. One thread: a wire wakes up for each octet, and two would wait for each other."""
        (one, _), (other, _) = self._ends
        wires = {one: _Wire(one, other), other: _Wire(other, one)}
        while not self._closing:
            now = time.monotonic()
            for wire in wires.values():
                wire.deliver(now)
            due = min((wire.arrivals[0][0] for wire in wires.values() if wire.arrivals), default=now + 0.1)
            ready, _, _ = select.select(list(wires), [], [], max(0.0, due - time.monotonic()))
            for end in ready:
                with contextlib.suppress(OSError):
                    octets = os.read(end, _READ)
                    self.octets += len(octets)
                    wires[end].put(octets, time.monotonic())

    def close(self) -> None:
        self._closing = True


class _Wire:
    """One direction. `arrivals`: octets on their way, and when the last bit of each is there."""

    def __init__(self, source: int, to: int) -> None:
        self._source = source
        self._to = to
        self._free = 0.0
        self._baud = 0
        """Of the octets that are on their way."""
        self.arrivals: deque[tuple[float, int]] = deque()

    def put(self, octets: bytes, now: float) -> None:
        self._baud = _baud(self._source)
        at = max(self._free, now)
        for octet in octets:
            at += 10 / self._baud
            self.arrivals.append((at, octet))
        self._free = at

    def deliver(self, now: float) -> None:
        there = bytearray()
        while self.arrivals and self.arrivals[0][0] <= now:
            there.append(self.arrivals.popleft()[1])
        if there:
            if _baud(self._to) != self._baud:
                there = bytearray(octet ^ _GARBLED for octet in there)
            with contextlib.suppress(OSError):
                os.write(self._to, there)


def _baud(end: int) -> int:
    """What the port whose outer end this is is set to."""
    return _BAUDS[termios.tcgetattr(end)[5]]


@contextlib.contextmanager
def slow_line() -> Iterator[SlowLine]:
    """A line between two ports."""
    line = SlowLine()
    thread = threading.Thread(target=line.carry, daemon=True)
    thread.start()
    try:
        yield line
    finally:
        line.close()
        thread.join(5)
        for ends in line._ends:
            for end in ends:
                os.close(end)
