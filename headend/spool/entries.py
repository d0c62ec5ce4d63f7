"""What can wait in the spool: finished sessions, pushes and files, and raw received APDUs.

The one rule: an entry is whole. A `Finished` is one meter's, an APDU is as it was received, not opened yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, NamedTuple, TypeVar

from headend.spool.encoding import encode
from headend.store.finished import Finished


@dataclass(frozen=True, slots=True)
class RawApdu:
    """An APDU as it was received: `link` is the way (`tcp`, `udp`, `mqtt` …), `peer` who sent it."""

    at: datetime
    link: str
    peer: str
    octets: bytes


Entry = TypeVar("Entry", Finished, RawApdu)

KINDS: Final[dict[type[Finished] | type[RawApdu], str]] = {Finished: "finished", RawApdu: "apdu"}
"""As they are named in the file and by the metrics."""


class Row(NamedTuple):
    """An entry as the file takes it. `at` is ISO 8601; `origin` says for people whose it is."""

    kind: str
    at: str
    origin: str
    weight: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class Waiting(Generic[Entry]):
    """An entry that waits, by its number in the file."""

    id: int
    weight: int
    value: Entry


def weight(finished: Finished) -> int:
    """How much of a batch it fills: its rows of all kinds, and one for itself."""
    return 1 + finished.rows + len(finished.profiles) + len(finished.events)


def row_of(entry: Finished | RawApdu) -> Row:
    """The entry as the file takes it. Raises TypeError or ValueError for what has no form there."""
    octets = encode(entry)
    if isinstance(entry, RawApdu):
        return Row(KINDS[RawApdu], entry.at.isoformat(), f"{entry.link} {entry.peer}", 1, octets)
    contact = entry.contact
    return Row(KINDS[Finished], contact.at.isoformat(), f"meter id {contact.meter_id}", weight(entry), octets)
