"""What stands in a session file, as values.

The one rule: it explains itself: what is shown needs no meter type, and what is imported has the meter's own layout
beside its buffers. A change that older programs would misread has another `FORMAT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from headend.reading.tables import Readout

FORMAT: Final = 1
NOTE: Final = (
    "The SHA-256 sums show damage on the way, not forgery: whoever can write this file can write the sums too. "
    "It holds what one meter said, in clear, and no key."
)


@dataclass(frozen=True, slots=True)
class Member:
    """One other file of the zip."""

    name: str
    octets: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SaidIdentity:
    """Who the meter said it is; empty where it did not. `system_title`: hex, of its association."""

    serial: str
    device_id: str
    logical_device_name: str
    system_title: str
    maker: str
    firmware: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Whose reading this is, and of what.

    `program`: who wrote it. `authenticated`: whether the association's own protection, not this file, proved that the
    meter said it. `read_at`: when the reading began, by the clock of the machine that read. `broken`: why the reading
    ended before its end; None: it is whole. `members`: all other files.
    """

    format: int
    note: str
    program: str
    meter: SaidIdentity
    meter_type: str
    address: str
    association: str
    authenticated: bool
    wanted: str
    read_at: datetime
    broken: str | None
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """What was read. `hindi`: of each text in it that is told in Hindi too, by the English one."""

    readout: Readout
    hindi: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a GET: when it came, by the clock of the machine that read; the attribute; selection and answer in
    A-XDR."""

    at: datetime
    class_id: int
    obis: str
    attribute: int
    selection: bytes | None
    octets: bytes


@dataclass(frozen=True, slots=True)
class Answers:
    """In the order in which they came."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class SessionFile:
    """All of it. `transcript`: as `drivers.links.transcript` writes it, in ASCII."""

    manifest: Manifest
    readout: Readout
    answers: tuple[Answer, ...]
    transcript: bytes
