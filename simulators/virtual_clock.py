"""The clock that simulated meters live by: time as it passes, or faster, from any moment on.

The one rule: there is one clock for all who take part. What it shows is a function of its three figures and of the
machine's monotonic clock, which all processes here share; so another process that is given its text has the same clock.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from profiles.errors import SettingsError

FASTEST: Final = 1_000_000.0
"""Eleven days a second."""
_TEXT: Final = re.compile(r"(\S+) x(\d+\.\d+) at (\d+\.\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class VirtualClock:
    """Shows `at` (UTC) when the monotonic clock shows `since` (seconds), and goes `speed` times as fast."""

    at: datetime
    since: float
    speed: float = 1.0

    @classmethod
    def start(cls, at: datetime | None = None, speed: float = 1.0) -> VirtualClock:
        """A clock that shows `at` (aware; the present by default) now. SettingsError for a speed that is none."""
        _check(speed)
        return cls((at or datetime.now(UTC)).astimezone(UTC), time.monotonic(), speed)

    @classmethod
    def parse(cls, text: str) -> VirtualClock:
        """The clock that another process on this machine wrote with `str`. SettingsError where it is none."""
        found = _TEXT.fullmatch(text)
        try:
            at = datetime.fromisoformat(found[1]) if found else None
        except ValueError:
            at = None
        if found is None or at is None or at.tzinfo is None:
            raise SettingsError(f"{text[:80]!r} is no clock of a simulator")
        _check(float(found[2]))
        return cls(at.astimezone(UTC), float(found[3]), float(found[2]))

    def __str__(self) -> str:
        return f"{self.at.isoformat()} x{self.speed:.9f} at {self.since:.9f}"

    def __call__(self) -> datetime:
        """The present time."""
        return self.at + timedelta(seconds=(time.monotonic() - self.since) * self.speed)

    def wait_s(self, moment: float) -> float:
        """Seconds of real time until the clock shows `moment` (seconds since 1970 UTC); 0 where it is past."""
        return max(0.0, (moment - self().timestamp()) / self.speed)

    async def sleep_until(self, moment: float) -> None:
        """Wait until the clock shows `moment`; others have their turn even where it is past."""
        await asyncio.sleep(self.wait_s(moment))


def _check(speed: float) -> None:
    if not 0.0 < speed <= FASTEST:
        raise SettingsError(f"a clock goes up to {FASTEST:g} times as fast as time, not {speed:g} times")
