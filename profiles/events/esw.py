"""The event status word: 128 bits that say what holds now, pushed with every alert and readable at any time.

The one rule: it is a state, so what happened is the difference between two of them, and only edges tell. Bit 0 is the
most significant bit of the first octet. The filter (ESWF) is a mask of the same shape.

Which bit means what, and what its edges say, is `esw.csv`; a maker's own lines stand in place of the agreed ones.
Sources and doubts: docs/meter-facts.md, "Event status word".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from profiles.errors import ProtocolError
from profiles.events.catalogue import Event, event, event_lists
from profiles.events.rows import Row, read_rows
from profiles.objects import AttributeRef, Obis

ESW: Final = AttributeRef(1, Obis(0, 0, 94, 91, 18), 2)
"""The event status word."""
ESWF: Final = AttributeRef(1, Obis(0, 0, 94, 91, 26), 2)
"""Its filter: the bits that the meter tells of."""
ESW_BITS: Final = 128
ESW_OCTETS: Final = ESW_BITS // 8

LAST_GASP: Final = 85
FIRST_BREATH: Final = 86

Edge = Literal["state", "pulse", "toggle"]
"""state: set is an occurrence, cleared its restoration. pulse: only setting says something. toggle: any change is an
occurrence, and the bit does not tell of what."""

_FILE: Final = Path(__file__).with_name("esw.csv")
_COLUMNS: Final = ("maker", "bit", "edge", "occurrence", "restoration", "english", "hindi", "evidence", "doubt")
_ABSENT: Final = "absent"
_EDGES: Final[tuple[Edge, ...]] = ("state", "pulse", "toggle")


@dataclass(frozen=True, slots=True)
class EswBit:
    """What one bit means. `occurrence`, `restoration`: the event codes of its edges, None where there are none;
    `evidence`: sources of docs/meter-facts.md; `doubt`: what is not sure, else empty."""

    bit: int
    edge: Edge
    occurrence: int | None
    restoration: int | None
    english: str
    hindi: str
    evidence: str = ""
    doubt: str = ""


EswBits = Mapping[int, EswBit]


@dataclass(frozen=True, slots=True)
class EswChange:
    """One bit that has changed in a way that says something; the event that it stands for, if there is one."""

    bit: EswBit
    event: Event | None


@dataclass(frozen=True, slots=True)
class EswChanges:
    """What lies between two event status words, each in the order of the bits."""

    occurrences: tuple[EswChange, ...]
    restorations: tuple[EswChange, ...]


def esw_bits(maker: str | None = None) -> EswBits:
    """The known bits by number, as agreed or as this maker has them."""
    lists = _bundled()
    return lists.get(maker or "", lists[""])


def makers() -> list[str]:
    """Whose events or bits contradict what is agreed, sorted: makers, or head-ends where all that is known of a maker
    is such a head-end's list."""
    return sorted({*event_lists(), *_bundled()} - {""})


def esw_bit(number: int, maker: str | None = None) -> EswBit:
    """What this bit means; an unknown one is a state of unknown meaning, with its number."""
    return esw_bits(maker).get(number) or EswBit(
        number, "state", None, None, f"Unknown status bit {number}", f"अज्ञात स्थिति बिट {number}"
    )


def decode_esw(octets: bytes) -> frozenset[int]:
    """The numbers of the bits that are set in a bit-string's 16 octets. Raises ProtocolError on another length."""
    return frozenset(_bits(_word(octets)))


def encode_esw(bits: Iterable[int]) -> bytes:
    """The 16 octets in which these bits (0..127) are set."""
    return sum(map(_mask, set(bits))).to_bytes(ESW_OCTETS, "big")


def esw_changes(before: bytes, after: bytes, maker: str | None = None) -> EswChanges:
    """What happened between two words of one meter, 16 octets each, `after` the later by the meter's clock.

    Bits of unknown meaning are told of too. For a meter that has told nothing yet, `before` is 16 zeros.
    Raises ProtocolError on another length.
    """
    old, new = _word(before), _word(after)
    occurrences, restorations = [], []
    for number in _bits(old ^ new):
        bit, rose = esw_bit(number, maker), bool(_mask(number) & new)
        if rose or bit.edge == "toggle":
            occurrences.append(EswChange(bit, _event(bit.occurrence, maker)))
        elif bit.edge == "state":
            restorations.append(EswChange(bit, _event(bit.restoration, maker)))
    return EswChanges(tuple(occurrences), tuple(restorations))


def esw_edges(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For many meters at once, shape (n, 16) each: which bits rose and which fell, shape (n, 128) each."""
    changed = before ^ after
    rose, fell = changed & after, changed & before
    return np.unpackbits(rose, axis=1).view(np.bool_), np.unpackbits(fell, axis=1).view(np.bool_)


def _word(octets: bytes) -> int:
    if len(octets) != ESW_OCTETS:
        raise ProtocolError(f"an event status word has {ESW_OCTETS} octets, not {len(octets)}", retry=False)
    return int.from_bytes(octets, "big")


def _bits(word: int) -> Iterator[int]:
    """The set bits, ascending."""
    while word:
        number = ESW_BITS - word.bit_length()
        yield number
        word ^= _mask(number)


def _mask(number: int) -> int:
    return 1 << (ESW_BITS - 1 - number)


def _event(number: int | None, maker: str | None) -> Event | None:
    return None if number is None else event(number, maker)


def load_esw(file: Path) -> Mapping[str, EswBits]:
    """By maker (empty: as agreed), all bits of a CSV file shaped like `esw.csv`; a maker's `absent` takes a bit away.

    Raises SettingsError, naming file and line: an unknown word, a bit twice for one maker, an event code that is not
    known or whose partner is another.
    """
    lines: dict[tuple[str, int], int] = {}
    agreed: dict[int, EswBit] = {}
    own: dict[str, dict[int, EswBit | None]] = {}
    for row in read_rows(file, _COLUMNS):
        maker, number = row.cells["maker"], row.integer("bit", 0, ESW_BITS - 1)
        line = lines.setdefault((maker, number), row.line)
        if line != row.line:
            raise row.wrong(f"bit {number} stands in line {line} already")
        bit = None if row.cells["edge"] == _ABSENT and maker else _bit(row, number)
        if maker:
            own.setdefault(maker, {})[number] = bit
        elif bit:
            agreed[number] = bit
    layered = {"": agreed} | {maker: _layered(agreed, bits) for maker, bits in own.items()}
    return MappingProxyType({maker: MappingProxyType(bits) for maker, bits in layered.items()})


def _layered(agreed: dict[int, EswBit], own: dict[int, EswBit | None]) -> dict[int, EswBit]:
    bits = {number: own.get(number, bit) for number, bit in agreed.items()} | own
    return {number: bit for number, bit in sorted(bits.items()) if bit is not None}


def _bit(row: Row, number: int) -> EswBit:
    bit = EswBit(
        bit=number,
        edge=row.choice("edge", _EDGES),
        occurrence=row.optional_integer("occurrence", 1, 0xFFFF),
        restoration=row.optional_integer("restoration", 1, 0xFFFF),
        english=row.text("english"),
        hindi=row.hindi("hindi"),
        evidence=row.text("evidence"),
        doubt=row.cells["doubt"],
    )
    for column, code, partner in (
        ("occurrence", bit.occurrence, bit.restoration),
        ("restoration", bit.restoration, bit.occurrence),
    ):
        if code is None:
            continue
        found = event(code, row.cells["maker"])
        if found.kind != column:
            raise row.wrong(f"{column}: event {code} is not a known {column}")
        if found.partner != partner:
            raise row.wrong(f"{column}: event {code} has the partner {found.partner}, not {partner}")
    return bit


@cache
def _bundled() -> Mapping[str, EswBits]:
    return load_esw(_FILE)
