"""What a fleet does just now, on one line of a terminal that is written anew every second.

The one rule: it is for people alone. Where the output is no terminal, there is none.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TextIO

EVERY_S: Final = 1.0
_ERASE: Final = "\r\x1b[2K"


@dataclass(frozen=True, slots=True)
class Activity:
    """What has happened since the fleet was served, and how many associations are open now."""

    now: datetime
    meters: int
    open_sessions: int
    answers: int
    pushes: int
    faults: int
    repeated_counters: int

    def line(self, before: Activity, seconds: float) -> str:
        """With the rates since `before`, so many seconds ago."""
        shown = [
            f"{self.now:%d %b %H:%M:%S} UTC",
            f"{self.meters} meters",
            f"{self.open_sessions} sessions",
            f"{(self.answers - before.answers) / seconds:.0f} requests/s",
            f"{(self.pushes - before.pushes) / seconds:.0f} pushes/s",
            f"{self.faults} faults",
        ]
        if self.repeated_counters:
            shown.append(f"{self.repeated_counters} REPEATED COUNTERS")
        return " · ".join(shown)


async def show(activity: Callable[[], Activity], stream: TextIO) -> None:
    """Write the line until cancelled, and erase it then."""
    before, at = activity(), time.monotonic()
    try:
        while True:
            await asyncio.sleep(EVERY_S)
            present, now = activity(), time.monotonic()
            width = shutil.get_terminal_size().columns
            stream.write(_ERASE + present.line(before, now - at)[: width - 1])
            stream.flush()
            before, at = present, now
    finally:
        stream.write(_ERASE)
        stream.flush()
