"""How many rows to ask for at once, so that a slow or broken link costs seconds, not minutes.

The one rule: few at first; then as many as came, by what was measured, in a few seconds. What broke the link is halved,
and tried again only once several parts came through, ever more of them each time that it breaks.
"""

from __future__ import annotations

from typing import Final

FIRST_ROWS: Final = 24
PART_S: Final = 8.0
"""What one request may take: long against a round trip, short against what a bad link holds."""
GROWTH: Final = 4
TRUST: Final = 2
MOST_TRUST: Final = 64
"""Parts that have to come through after a first break, and at most, before twice as many rows are tried."""


class Pace:
    """Learns from each part of one profile."""

    def __init__(self) -> None:
        self.rows = FIRST_ROWS
        self._most: int | None = None
        self._trust = self._came = 0
        """Parts that it takes to try more, and those that came since the link broke or that was tried."""

    def took(self, rows: int, seconds: float) -> None:
        """So many rows came in this time."""
        self._came += 1
        if self._most is not None and self._came >= self._trust:
            self._most, self._came = self._most * 2, 0
        fit = int(rows * PART_S / max(seconds, 0.001))
        grown = min(fit, self.rows * GROWTH)
        self.rows = max(1, grown if self._most is None else min(grown, self._most))

    def broke(self) -> None:
        """A part did not come through."""
        self.rows = self._most = max(1, self.rows // 2)
        self._trust, self._came = min(self._trust * 2 or TRUST, MOST_TRUST), 0
