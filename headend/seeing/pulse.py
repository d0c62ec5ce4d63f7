"""Signs of life: a part that goes on says so now and then, and is late when it has not for longer than it may."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pulse:
    """`clock` only goes forward, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def beat(self, part: str, within_s: float) -> None:
        """The part goes on, and will say so again within so many seconds."""
        self._until[part] = self._clock() + within_s

    def rest(self, part: str) -> None:
        """The part has ended: it is not waited for."""
        self._until.pop(part, None)

    def late(self) -> list[str]:
        """Parts that hang."""
        now = self._clock()
        return sorted(part for part, until in self._until.items() if until < now)
