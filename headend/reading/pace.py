"""How many rows to ask for at once, so that a slow or broken link costs seconds, not minutes.

The one rule: few at first; then as many as came, by what was measured, in a few seconds; what broke the link is not
tried again, but half of it.
"""

from __future__ import annotations

from typing import Final

FIRST_ROWS: Final = 24
PART_S: Final = 8.0
"""What one request may take: long against a round trip, short against what a bad link holds."""
GROWTH: Final = 4


class Pace:
    """Learns from each part of one profile."""

    def __init__(self) -> None:
        self.rows = FIRST_ROWS
        self._most: int | None = None

    def took(self, rows: int, seconds: float) -> None:
        """So many rows came in this time."""
        fit = int(rows * PART_S / max(seconds, 0.001))
        grown = min(fit, self.rows * GROWTH)
        self.rows = max(1, grown if self._most is None else min(grown, self._most))

    def broke(self) -> None:
        """A part did not come through."""
        self.rows = self._most = max(1, self.rows // 2)
