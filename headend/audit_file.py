"""What was changed on meters from this machine: a line an act, only ever added to, each signed and bound to the last.

The one rule: the line is on the disk before the meter is asked. No value that may be a secret stands in it. Each line
is signed (HMAC-SHA-256) together with the signature of the line before, under a key that is drawn for this machine and
stands beside it with the last signature (`audit.key`, mode 0600): no line can be altered, taken out or cut off, nor
the file taken away, by who has not that key too. Who is this user on this machine has it: he can still forge both, or
begin both anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final

from profiles.errors import SettingsError
from profiles.whole_file import check_file, written_whole

_BEGINNING: Final = "0" * 64
_KEY_OCTETS: Final = 32
_REMEDY: Final = (
    "keep it and its key and find out who did it; once audit.jsonl and audit.key are moved away, a new one is begun"
)


class AuditFile:
    """One audit file (mode 0600), JSON lines, and the key file beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key_path = path.with_suffix(".key")

    def append(self, entry: Mapping[str, Any], now: datetime) -> None:
        """Add a line, durably. SettingsError where the file can't be written or was altered."""
        self._append(entry, now, None)

    def append_limited(self, entry: Mapping[str, Any], now: datetime, limit: int, span: timedelta) -> None:
        """The same, unless `limit` lines with the same `limited` stand there from the last `span`: SettingsError."""
        self._append(entry, now, (limit, span))

    def entries(self) -> list[dict[str, Any]]:
        """All lines, oldest first; SettingsError where one was altered or is missing."""
        if not (self.path.exists() or self._key_path.exists()):
            return []
        with self._opened() as (_, _, lines):
            return lines

    def _append(self, entry: Mapping[str, Any], now: datetime, limit: tuple[int, timedelta] | None) -> None:
        with self._opened() as (file, key, earlier):
            if limit is not None:
                _check_limit(entry, earlier, now, *limit)
            line = {"at": now.astimezone(UTC).isoformat(timespec="seconds"), "user": _user(), **entry}
            line["previous"] = earlier[-1]["signature"] if earlier else _BEGINNING
            line["signature"] = _signature(line, key)
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            self._write_key(key, line["signature"])

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], bytes, list[dict[str, Any]]]]:
        """The file, which nobody else has open meanwhile, the key, and the lines, which have been checked."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_file(self.path)
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
                content = file.read()
                key, last = self._key(begun=bool(content))
                lines = _checked(content, key, self.path)
                # A line may have been written, and the power have failed before its signature was kept.
                ends = (lines[-1]["signature"], lines[-1]["previous"]) if lines else (_BEGINNING,)
                if last not in ends:
                    raise SettingsError(f"the last lines of the audit file {self.path} were taken out", remedy=_REMEDY)
                yield file, key, lines
        except OSError as error:
            raise SettingsError(
                f"the audit file {self.path} can't be used: {error.strerror or error}",
                remedy="nothing is changed on a meter without it; --counters names its folder",
            ) from None

    def _key(self, *, begun: bool) -> tuple[bytes, str]:
        """The key, and the signature of the last line. Drawn where there is none and nothing was signed yet."""
        check_file(self._key_path)
        if not self._key_path.exists():
            if begun:
                raise SettingsError(f"the key {self._key_path} of the audit file is not there", remedy=_REMEDY)
            key = secrets.token_bytes(_KEY_OCTETS)
            self._write_key(key, _BEGINNING)
            return key, _BEGINNING
        try:
            text, last = self._key_path.read_text(encoding="ascii").split()
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != _KEY_OCTETS:
            raise SettingsError(f"{self._key_path} holds no key of an audit file", remedy=_REMEDY)
        return key, last

    def _write_key(self, key: bytes, last: str) -> None:
        with written_whole(self._key_path, 0o600) as file:
            file.write(f"{key.hex()} {last}\n".encode())
            file.flush()
            os.fsync(file.fileno())


def _check_limit(
    entry: Mapping[str, Any], earlier: list[dict[str, Any]], now: datetime, limit: int, span: timedelta
) -> None:
    if limit == 0:
        raise SettingsError("such acts are not done from here: the setting acts.per_hour is 0")
    recent = [
        one
        for one in earlier
        if one.get("limited") == entry.get("limited") and datetime.fromisoformat(one["at"]) > now - span
    ]
    if len(recent) >= limit:
        free = datetime.fromisoformat(recent[-limit]["at"]) + span
        raise SettingsError(
            f"{limit} such acts were done from here within {span.total_seconds() / 3600:g} h, which is the limit",
            remedy=f"the next one may be done at {free.astimezone():%H:%M}; the setting is acts.per_hour",
        )


def _checked(content: bytes, key: bytes, path: Path) -> list[dict[str, Any]]:
    """The lines of a file, if each is signed and fits the one before."""
    found: list[dict[str, Any]] = []
    previous = _BEGINNING
    for number, text in enumerate(content.splitlines(), 1):
        try:
            line = json.loads(text)
            if line["previous"] != previous or not hmac.compare_digest(line["signature"], _signature(line, key)):
                raise ValueError
            datetime.fromisoformat(line["at"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise SettingsError(
                f"line {number} of the audit file {path} was altered, or one before it taken out", remedy=_REMEDY
            ) from None
        previous = line["signature"]
        found.append(line)
    return found


def _signature(line: Mapping[str, Any], key: bytes) -> str:
    told = {name: value for name, value in line.items() if name != "signature"}
    return hmac.digest(key, json.dumps(told, sort_keys=True).encode(), hashlib.sha256).hex()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
