"""What went over a line, as text that people read and tests replay.

    # tcp://127.0.0.1:4059 client 16 server 1
    2026-01-31T06:15:00.123456Z > 00 01 00 10 00 01 00 1f 60 1d ...
    2026-01-31T06:15:00.187001Z < 00 01 00 01 00 10 00 2b 61 29 ...

A line with `#` begins a connection; `>` is what we sent, `<` what came, with the time of its first octet; `**` stands
for an octet that would tell a secret. The one rule: no secret is written, so what was sent can be compared with a
transcript but not made from it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, TextIO

from drivers.links.stream import Spans, Stream
from profiles.errors import LinkError, SettingsError

_LONGEST: Final = 65536
_LINE: Final = re.compile(r"(\S+) ([<>])((?: (?:[0-9a-f]{2}|\*\*))+)", re.IGNORECASE)


class Direction(StrEnum):
    """Which way octets went."""

    SENT = ">"
    RECEIVED = "<"


@dataclass(frozen=True, slots=True)
class Entry:
    """Octets that went one way at one time; None is one that was hidden."""

    time: datetime
    direction: Direction
    octets: tuple[int | None, ...]


@dataclass(slots=True)
class Recording:
    """One connection of a transcript."""

    title: str
    entries: list[Entry] = field(default_factory=list)


class Transcript:
    """Writes connections to a text file, each line at once. One transcript records one connection at a time."""

    def __init__(self, file: TextIO, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._file = file
        self._now = now
        self._heard = bytearray()
        self._heard_at: datetime | None = None

    def begin(self, title: str) -> None:
        """Another connection begins."""
        self.flush()
        print("#", title, file=self._file, flush=True)

    def sent(self, octets: bytes, hidden: Spans) -> None:
        """These octets go out."""
        self.flush()
        self._write(self._now(), Direction.SENT, octets, hidden)

    def received(self, octets: bytes) -> None:
        """These octets came; what comes before we say something again is one line."""
        if self._heard_at is None:
            self._heard_at = self._now()
        self._heard += octets
        if len(self._heard) > _LONGEST:
            self.flush()

    def flush(self) -> None:
        """Write what came last."""
        if self._heard_at is not None:
            self._write(self._heard_at, Direction.RECEIVED, bytes(self._heard), ())
        self._heard.clear()
        self._heard_at = None

    def _write(self, time: datetime, direction: Direction, octets: bytes, hidden: Spans) -> None:
        shown = [f"{octet:02x}" for octet in octets]
        for begin, end in hidden:
            shown[begin:end] = ["**"] * (end - begin)
        stamp = time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        try:
            print(stamp, direction, *shown, file=self._file, flush=True)
        except OSError as error:
            raise SettingsError(f"the transcript can't be written: {error.strerror}") from None


@contextlib.contextmanager
def write_transcript(path: Path | None) -> Iterator[Transcript | None]:
    """A transcript in a new file, which its owner alone may read: what is said in clear stands in it. None for None.

    SettingsError where the file can't be written.
    """
    if path is None:
        yield None
        return
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}") from None
    try:
        with os.fdopen(file, "w", encoding="ascii") as text:
            yield Transcript(text)
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}") from None


class TracedStream:
    """A stream whose octets go to a transcript too."""

    recorded = True

    def __init__(self, stream: Stream, transcript: Transcript) -> None:
        self._stream = stream
        self._transcript = transcript

    async def send(self, octets: bytes, hidden: Spans = ()) -> None:
        self._transcript.sent(octets, hidden)
        await self._stream.send(octets, hidden)

    async def receive(self, limit_s: float) -> bytes:
        octets = await self._stream.receive(limit_s)
        if octets:
            self._transcript.received(octets)
        return octets

    async def close(self) -> None:
        self._transcript.flush()
        await self._stream.close()


def read_transcript(text: str) -> list[Recording]:
    """The connections of a transcript; SettingsError names the line that is none of one."""
    recordings: list[Recording] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            recordings.append(Recording(line[1:].strip()))
        elif line.strip():
            recordings = recordings or [Recording("")]
            recordings[-1].entries.append(_entry(number, line.strip()))
    return recordings


def _entry(number: int, line: str) -> Entry:
    found = _LINE.fullmatch(line)
    try:
        if found is None:
            raise ValueError
        octets = tuple(None if octet == "**" else int(octet, 16) for octet in found[3].split())
        return Entry(datetime.fromisoformat(found[1]), Direction(found[2]), octets)
    except ValueError:
        raise SettingsError(f"line {number} of the transcript is none: {line[:60]!r}") from None


class ReplayStream:
    """Plays a recorded connection to us, without waiting; `left` is how much of it has not been played.

    What we send has to be what was sent then, hidden octets aside: LinkError says where it is not.
    """

    recorded = False

    def __init__(self, recording: Recording) -> None:
        self._entries: Iterator[Entry] = iter(recording.entries)
        self._next = next(self._entries, None)
        self.left = len(recording.entries)

    async def send(self, octets: bytes, hidden: Spans = ()) -> None:
        entry = self._take(Direction.SENT)
        if entry is None:
            raise LinkError(f"the transcript has nothing sent here, and we send {octets.hex()}", retry=False)
        if len(entry.octets) != len(octets) or any(
            then not in (None, now) for then, now in zip(entry.octets, octets, strict=True)
        ):
            raise LinkError(f"the transcript has something else sent here than {octets.hex()}", retry=False)

    async def receive(self, limit_s: float) -> bytes:
        entry = self._take(Direction.RECEIVED)
        if entry is None and self._next is None:
            raise LinkError("the transcript ends here", retry=False)
        return b"" if entry is None else bytes(octet or 0 for octet in entry.octets)

    async def close(self) -> None:
        """Whatever is left is left."""

    def _take(self, direction: Direction) -> Entry | None:
        entry = self._next
        if entry is None or entry.direction is not direction:
            return None
        self._next = next(self._entries, None)
        self.left -= 1
        return entry
