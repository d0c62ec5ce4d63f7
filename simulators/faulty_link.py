"""What becomes of a faulty meter's answers on the way: late, slow, cut off, never.

The one rule: a connection has one answer at a time on its way; whoever has more waits until `done` was called, so that
latency makes no answer overtake another, and nothing grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final

from simulators.faults import MeterFaults
from simulators.faulty_meter import FaultyMeter

PIECE_S: Final = 0.05
"""How often a slow meter says something."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing resets the connection (socket(7))."""
_TAIL: Final = 0.8
"""Of the log-logistic distribution of delays: the larger, the more of them are much longer than the median."""


class FaultyLink:
    """The answers of one connection. `done` is called when an answer is out of the way, whatever became of it."""

    def __init__(self, meter: FaultyMeter, transport: asyncio.Transport, done: Callable[[], None]) -> None:
        self.busy = False
        """Whether an answer is on its way."""
        self.dead = "never_answers" in meter.faults
        """Whether the meter hears and says nothing any more, though the connection stands."""
        self._meter = meter
        self._faults = meter.faults
        self._transport = transport
        self._done = done
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        if self.dead:
            meter.faults.note("never_answers")

    def send(self, octets: bytes) -> None:
        """An answer to what came last; not while `busy`."""
        faults = self._faults
        self.dead = self.dead or faults.strikes("half_open")
        delay = None if self.dead else delay_of(faults)
        if delay is None:
            return
        cut = self._meter.in_block and faults.strikes("drop_mid_block")
        self._after(delay, lambda: self._put(octets, cut=cut))

    def close(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()

    def _put(self, octets: bytes, *, cut: bool) -> None:
        if self._faults.strikes("reset"):
            self._reset()
        elif cut:
            self._transport.write(octets[: len(octets) // 2])
            self._transport.close()
        elif "slow_octets" in self._faults:
            self._faults.note("slow_octets")
            self._trickle(memoryview(octets))
        else:
            self._transport.write(octets)
            self._finish()

    def _trickle(self, octets: memoryview) -> None:
        if not octets:
            self._finish()
            return
        rate = self._faults.figure("slow_octets", "octets_per_s")
        piece = max(1, int(rate * PIECE_S))
        self._transport.write(bytes(octets[:piece]))
        self._after(piece / rate, lambda: self._trickle(octets[piece:]))

    def _reset(self) -> None:
        with contextlib.suppress(OSError):
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        if seconds:
            self.busy = True
            self._timer = self._loop.call_later(seconds, what)
        else:
            what()

    def _finish(self) -> None:
        if self.busy:
            self.busy = False
            self._done()


def delay_of(faults: MeterFaults) -> float | None:
    """Seconds until an answer goes out; None where it is lost."""
    if faults.strikes("loss"):
        return None
    if "latency" not in faults:
        return 0.0
    faults.note("latency")
    chance = faults.draw("latency")
    delay_ms: float = faults.figure("latency", "median_ms") * (chance / (1.0 - chance)) ** _TAIL
    return min(delay_ms, faults.figure("latency", "longest_ms")) / 1000.0
