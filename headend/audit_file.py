"""What was changed on meters from this machine: a line an act, only ever added to, each bound to the one before.

The one rule: the line is on the disk before the meter is asked. No value that may be a secret stands in it. Each line
holds the hash of the line before, so that none can be altered or taken out from the middle unseen; who can write the
file can still begin it anew.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from profiles.errors import SettingsError
from profiles.whole_file import check_file

_BEGINNING: Final = "0" * 64


class AuditFile:
    """One audit file (mode 0600), JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: Mapping[str, Any], now: datetime) -> None:
        """Add a line, durably. SettingsError where the file can't be written or was altered."""
        self._append(entry, now, None)

    def append_limited(self, entry: Mapping[str, Any], now: datetime, limit: int, span: timedelta) -> None:
        """The same, unless `limit` lines with the same `limited` stand there from the last `span`: SettingsError."""
        self._append(entry, now, (limit, span))

    def entries(self) -> list[dict[str, Any]]:
        """All lines, oldest first; SettingsError where one was altered."""
        try:
            check_file(self.path)
            return _checked(self.path.read_bytes(), self.path) if self.path.exists() else []
        except OSError as error:
            raise self._unusable(error) from None

    def _append(self, entry: Mapping[str, Any], now: datetime, limit: tuple[int, timedelta] | None) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_file(self.path)
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
                earlier = _checked(file.read(), self.path)
                if limit is not None:
                    _check_limit(entry, earlier, now, *limit)
                previous = earlier[-1]["hash"] if earlier else _BEGINNING
                line = {"at": now.astimezone(UTC).isoformat(timespec="seconds"), "user": _user(), **entry}
                line["previous"] = previous
                line["hash"] = _hash(line)
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> SettingsError:
        return SettingsError(
            f"the audit file {self.path} can't be used: {error.strerror or error}",
            remedy="nothing is changed on a meter without it; --counters names its folder",
        )


def _check_limit(
    entry: Mapping[str, Any], earlier: list[dict[str, Any]], now: datetime, limit: int, span: timedelta
) -> None:
    recent = [
        one
        for one in earlier
        if one.get("limited") == entry.get("limited") and datetime.fromisoformat(one["at"]) > now - span
    ]
    if len(recent) >= limit:
        free = datetime.fromisoformat(recent[-limit]["at"]) + span
        raise SettingsError(
            f"{limit} such acts were done from here within {span.total_seconds() / 3600:g} h, which is the limit",
            remedy=f"the next one may be done at {free.astimezone():%H:%M}",
        )


def _checked(content: bytes, path: Path) -> list[dict[str, Any]]:
    """The lines of a file, if each fits the one before."""
    found: list[dict[str, Any]] = []
    previous = _BEGINNING
    for number, text in enumerate(content.splitlines(), 1):
        try:
            line = json.loads(text)
            if line["previous"] != previous or line["hash"] != _hash(line):
                raise ValueError
            datetime.fromisoformat(line["at"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise SettingsError(
                f"line {number} of the audit file {path} was altered, or one before it taken out",
                remedy="keep the file and find out who did it; moved away, a new one is begun",
            ) from None
        previous = line["hash"]
        found.append(line)
    return found


def _hash(line: Mapping[str, Any]) -> str:
    told = {name: value for name, value in line.items() if name != "hash"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
