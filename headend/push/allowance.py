"""How much is let in: so much a second on average, and a little at once."""

from __future__ import annotations


class Allowance:
    """A bucket of `burst`, filled by `per_s`. `now` is of any clock that only goes forward, in seconds."""

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = self._left = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more is let in."""
        self._fill(now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def spend(self, count: int, now: float) -> float:
        """Take `count` whatever is left; the seconds until what was taken too much is made up for."""
        self._fill(now)
        self._left -= count
        return max(0.0, -self._left / self._per_s)

    def _fill(self, now: float) -> None:
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
