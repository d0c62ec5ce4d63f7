"""Captures that are text: hex digits as people write them, and the transcripts of `drivers.links.transcript`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from drivers.capture.streams import Piece, Stream, not_dlms
from drivers.links.transcript import Direction, Entry, Recording, read_transcript
from profiles.errors import SettingsError

_TEXT: Final = frozenset(b"\t\n\r\f" + bytes(range(0x20, 0x7F)))
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_TRANSCRIPT: Final = re.compile(r"^(#|\S+T\S+ [<>] )", re.MULTILINE)
_PREFIX: Final = re.compile(r"(?<![0-9A-Fa-f])0[xX]")
_BETWEEN: Final = re.compile(r"[\s:,]+")
_NO_DIGIT: Final = re.compile(r"[^0-9A-Fa-f]")


def text_of(octets: bytes) -> str | None:
    """The text that the octets are; None where they are none."""
    octets = octets.removeprefix(_BYTE_ORDER_MARK)
    return octets.decode("ascii") if octets and _TEXT.issuperset(octets) else None


def octets_of_hex(text: str) -> bytes:
    """The octets that hex digits of either case stand for, whatever blanks, colons, commas and 0x are among them.

    ProtocolError ("not DLMS: …") names the octet at which the text stops being hex.
    """
    digits = _BETWEEN.sub("", _PREFIX.sub(" ", text))
    wrong = _NO_DIGIT.search(digits)
    if wrong is not None:
        raise not_dlms("", wrong.start() // 2, f"{wrong[0]!r} is no hex digit")
    if len(digits) % 2:
        raise not_dlms("", len(digits) // 2, "an odd number of hex digits")
    return bytes.fromhex(digits)


def lines_of_hex(text: str) -> list[bytes]:
    """The octets of each line that has any."""
    return [octets for line in text.splitlines() if (octets := octets_of_hex(line))]


def is_transcript(text: str) -> bool:
    """Whether this text looks like a transcript rather than hex digits."""
    return _TRANSCRIPT.match(text.lstrip()) is not None


def streams_of_transcript(text: str) -> Sequence[Stream]:
    """Two streams a connection, what was sent and what was received; ProtocolError names a line that is none."""
    try:
        recordings = read_transcript(text)
    except SettingsError as error:
        raise not_dlms("", 0, error.message) from None
    streams: list[Stream] = []
    order = 0
    for number, recording in enumerate(recordings, 1):
        group = f"{number} {recording.title}"
        pieces: dict[Direction, list[Piece]] = {direction: [] for direction in Direction}
        for entry in recording.entries:
            pieces[entry.direction].append(_piece(entry, order))
            order += 1
        streams += [
            Stream(tuple(went), _name(recording, direction), group) for direction, went in pieces.items() if went
        ]
    return streams


def _piece(entry: Entry, order: int) -> Piece:
    hidden = frozenset(place for place, octet in enumerate(entry.octets) if octet is None)
    return Piece(bytes(octet or 0 for octet in entry.octets), order, entry.time, hidden)


def _name(recording: Recording, direction: Direction) -> str:
    return f"{'sent' if direction is Direction.SENT else 'received'} · {recording.title}".removesuffix(" · ")
