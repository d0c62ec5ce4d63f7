"""Whether a simulated meter has supply just now: without it, nothing is heard of it.

The one rule: it is asked for every octet that comes, so the outages of an hour are worked out together.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import numpy as np

from simulators.world import World

_WINDOW_S: Final = 3600


class Supply:
    """The supply of all meters of `world`, by `clock`."""

    def __init__(self, world: World, clock: Callable[[], datetime]) -> None:
        self._world = world
        self._clock = clock
        self._window = -1
        self._outages: dict[int, list[tuple[int, int]]] = {}

    def has(self, meter: int) -> bool:
        """Whether the meter with this index has it."""
        now = self._clock().timestamp()
        if int(now) // _WINDOW_S != self._window:
            self._look(int(now) // _WINDOW_S)
        return not any(start <= now < end for start, end in self._outages.get(meter, ()))

    def _look(self, window: int) -> None:
        self._window, self._outages = window, {}
        everybody = np.arange(len(self._world.topology))
        spans = self._world.outages.spans(everybody, window * _WINDOW_S, (window + 1) * _WINDOW_S)
        for meter, start, end in zip(spans.row.tolist(), spans.start.tolist(), spans.end.tolist(), strict=True):
            self._outages.setdefault(meter, []).append((start, end))


def always(meter: int) -> bool:
    """In a world where no supply fails."""
    return True
