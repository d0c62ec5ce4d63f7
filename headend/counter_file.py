"""Invocation counters of a client without a database: a locked, fsynced file, one a laptop.

The one rule: a run of counters is on the disk as spent before the first of them is used, whatever happens after.
The file also holds this laptop's own client system title, drawn once; no two issuers share one, so no pair
(title, counter) can ever be used twice under a key. Keys are named by a fingerprint, never written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drivers.credentials import MAX_COUNTER, CounterRange
from drivers.dlms.security import Key
from profiles.errors import SecurityError, SettingsError
from profiles.whole_file import check_file

TITLE_PREFIX = b"HES"
LOCK_WAIT_S = 5.0


class CounterFile:
    """Counters and the client system title in one JSON file (mode 0600)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def client_title(self) -> bytes:
        """This issuer's own system title, 8 octets, the same for ever."""
        with self._open() as state:
            return bytes.fromhex(state["client_system_title"])

    def reserve(self, key: Key, count: int, *, above: int = -1) -> CounterRange:
        """Spend `count` counters of `key`, all above `above` (the meter's own memory) and above all spent before."""
        with self._open() as state:
            counters = state["next"]
            first = max(counters.get(_fingerprint(key), 1), above + 1)
            if first + count > MAX_COUNTER:
                raise SecurityError(
                    "the invocation counter has reached its end",
                    remedy="change the meter's encryption key, which starts it anew",
                )
            counters[_fingerprint(key)] = first + count
        return CounterRange(first, first + count)

    def last_spent(self, key: Key) -> int:
        """The highest counter ever spent under `key`; 0 if none."""
        with self._open() as state:
            return int(state["next"].get(_fingerprint(key), 1)) - 1

    def last_received(self, key: Key, server_title: bytes) -> int:
        """The highest counter this meter has shown under `key`; -1 if none."""
        with self._open() as state:
            return int(state["received"].get(f"{_fingerprint(key)}/{server_title.hex()}", -1))

    def record_received(self, key: Key, server_title: bytes, counter: int) -> None:
        """Remember the meter's counter; it never goes back."""
        with self._open() as state:
            name = f"{_fingerprint(key)}/{server_title.hex()}"
            state["received"][name] = max(counter, state["received"].get(name, -1))

    @contextlib.contextmanager
    def _open(self) -> Iterator[dict[str, Any]]:
        """The file's content under an exclusive lock; written back, durably, if it was changed."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_file(self.path)
            with open(self._beside("lock"), "a") as lock:
                lock_file(lock.fileno(), f"the counter file {self.path}")
                content = self.path.read_bytes() if self.path.exists() else b""
                state = _parse(content, self.path)
                yield state
                changed = json.dumps(state, indent=1).encode()
                if changed != content:
                    self._write(changed)
        except OSError as error:
            raise SettingsError(
                f"the counter file {self.path} can't be used: {error.strerror or error}",
                remedy="name a place for it with --counters FILE or XDG_STATE_HOME",
            ) from None

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")

    def _write(self, content: bytes) -> None:
        new = self._beside("new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _fingerprint(key: Key) -> str:
    return hashlib.sha256(b"headend counter of key " + key.octets).hexdigest()[:24]


def lock_file(descriptor: int, named: str) -> None:
    """Lock for this process alone; SettingsError where another one holds it for too long."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SettingsError(
                    f"{named} is held by another program", remedy="wait for the other one to end"
                ) from None
            time.sleep(0.02)


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    if not content:
        return {"client_system_title": (TITLE_PREFIX + secrets.token_bytes(5)).hex(), "next": {}, "received": {}}
    try:
        state = json.loads(content)
        title = bytes.fromhex(state["client_system_title"])
        numbers = [*state["next"].values(), *state["received"].values()]
        if len(title) != 8 or not all(type(number) is int and 0 <= number <= MAX_COUNTER for number in numbers):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # An older copy would give counters out a second time; under a new title they may start anew.
        raise SettingsError(
            f"the counter file {path} is damaged",
            remedy="delete it, and put no older copy in its place: a new system title is drawn, counters start anew",
        ) from None
    return dict(state)
