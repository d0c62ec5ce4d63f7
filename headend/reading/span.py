"""Which time is meant by --from, --to and --last.

The one rule: days and times are the meter's own; without options each kind of reading has a span of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from headend.times import parse_span, parse_time
from profiles.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Span:
    """As on the command line; None where an option is not given."""

    start: str | None = None
    end: str | None = None
    last: str | None = None

    @property
    def given(self) -> bool:
        """Whether any option is."""
        return any((self.start, self.end, self.last))

    def check(self, now: datetime) -> None:
        """What can be told before any meter is asked. Raises SettingsError."""
        for text in filter(None, (self.start, self.end)):
            parse_time(text, ZoneInfo("UTC"), now)
        if self.last is not None:
            if self.start or self.end:
                raise SettingsError("--last counts back from now: take it, or --from and --to")
            parse_span(self.last)

    def moments(self, zone: ZoneInfo, now: datetime, usual_days: int) -> tuple[datetime, datetime]:
        """[start, end) in UTC; where no beginning is given, so many whole days before the day of the end.

        Raises SettingsError for what is no time, and for a start that is not before the end.
        """
        end = parse_time(self.end or "now", zone, now)
        if self.last is not None:
            start = end - parse_span(self.last)
        elif self.start:
            start = parse_time(self.start, zone, now)
        else:
            midnight = end.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
            start = midnight - timedelta(days=usual_days)
        if start >= end:
            raise SettingsError(f"--from {self.start} is not before --to {self.end or 'now'}")
        return start.astimezone(UTC), end
