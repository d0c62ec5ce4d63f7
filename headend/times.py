"""The time now, and moments and spans as people write them on a command line."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from profiles.errors import SettingsError

_LOCALTIME: Final = Path("/etc/localtime")
_SPAN: Final = re.compile(r"(\d{1,4})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def utc_now() -> datetime:
    """The clock of the running system; everything else is handed its time."""
    return datetime.now(UTC)


def parse_time(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """A moment from ISO 8601 (local to `zone` unless it names an offset), `now`, `today` or `yesterday`; in UTC."""
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    words = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    if text in words:
        return words[text].astimezone(UTC)
    try:
        moment = datetime.fromisoformat(text)
        if not 2000 <= moment.year < 2100:
            raise ValueError
    except ValueError:
        raise SettingsError(
            f"{text!r} is not a time from 2000 to 2099",
            remedy="write 2026-01-31, 2026-01-31T06:15, now, today or yesterday",
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def parse_span(text: str) -> timedelta:
    """A length of time: `30s`, `90m`, `24h`, `7d`, `2w`; SettingsError on anything else."""
    found = _SPAN.fullmatch(text)
    if found is None or not int(found[1]):
        raise SettingsError(f"{text!r} is not a length of time", remedy="write 30s, 90m, 24h, 7d or 2w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def local_zone() -> ZoneInfo:
    """The zone of this machine: TZ, else that of /etc/localtime; UTC where neither names one."""
    name = os.environ.get("TZ", "").removeprefix(":") or str(_LOCALTIME.resolve()).partition("zoneinfo/")[2]
    return zone_named(name) if name and not name.startswith("/") else ZoneInfo("UTC")


def zone_named(name: str) -> ZoneInfo:
    """A time zone by name; SettingsError where there is none of it."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise SettingsError(f"{name!r} is no time zone such as Asia/Kolkata") from None
