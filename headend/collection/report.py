"""What became of a job: how many of its meters answered, how many failed and why.

The one rule: reports of parts add up to that of the whole.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Report:
    """How a job went. `failed` counts meters by kind of error; `busy` those that another worker had."""

    meters: int = 0
    answered: int = 0
    busy: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    again: int = 0
    """Meters that failed where trying again can help, or of which some was left for the next session."""
    down: bool = False
    held: bool = False
    """Some were not begun: what they would say had no way to the store."""
    seconds: float = 0.0

    def __add__(self, other: Report) -> Report:
        return Report(
            self.meters + other.meters,
            self.answered + other.answered,
            self.busy + other.busy,
            self.failed + other.failed,
            self.again + other.again,
            self.down or other.down,
            self.held or other.held,
            self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        text = f"{self.answered} of {self.meters} meters that were asked answered"
        if self.failed:
            text += "; failed: " + ", ".join(f"{kind} {count}" for kind, count in self.failed.most_common())
        if self.busy:
            text += f"; another worker had {self.busy}"
        if self.held:
            text += "; some were left for later: the store took nothing more"
        return text + ("; segments are down" if self.down else "")

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "meters": self.meters,
            "answered": self.answered,
            "failed": dict(self.failed),
            "busy": self.busy,
            "segments_down": self.down,
            "left_for_later": self.held,
            "seconds": round(self.seconds, 3),
        }
