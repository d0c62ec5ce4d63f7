"""What a COSEM object of a simulated meter is: attributes that answer or take values, methods that do something.

The one rule: what an attribute answers is a function of the meter and of the association that asks. Values that change
with time or by test are methods of the meter; what is written becomes its state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from drivers.dlms import apdu, axdr
from profiles.meter_type import Association
from profiles.objects import Obis
from simulators.refusals import Refused, Result

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

Read: TypeAlias = Callable[["SimulatedMeter", Association], bytes]
"""The A-XDR value of one attribute."""
Write: TypeAlias = Callable[["SimulatedMeter", Association, bytes], None]
"""Takes a new A-XDR value. Refused; ProtocolError where it is none."""
Selection: TypeAlias = apdu.RangeSelection | apdu.EntrySelection
Select: TypeAlias = Callable[["SimulatedMeter", Association, Selection], bytes]
"""The A-XDR value of a part of an attribute. Refused."""
Invoke: TypeAlias = Callable[["SimulatedMeter", Association, bytes | None], bytes | None]
"""Does what a method says with A-XDR parameters; returns A-XDR data or nothing. Refused; ProtocolError."""

DATA: Final = 1
REGISTER: Final = 3
EXTENDED_REGISTER: Final = 4
PROFILE: Final = 7
CLOCK: Final = 8
SCRIPT_TABLE: Final = 9
SPECIAL_DAYS: Final = 11
ASSOCIATION: Final = 15
SAP_ASSIGNMENT: Final = 17
IMAGE_TRANSFER: Final = 18
PUSH_SETUP: Final = 40
ACTIVITY_CALENDAR: Final = 20
SINGLE_ACTION_SCHEDULE: Final = 22
SECURITY_SETUP: Final = 64
DISCONNECT_CONTROL: Final = 70
LIMITER: Final = 71
"""Class ids."""

CURRENT_ASSOCIATION = Obis(0, 0, 40, 0, 0)

PUBLIC: Final = "public"
"""The association that needs no keys."""
_READERS_ONLY: Final = (PUBLIC, "meter_reader", "push", "in_home_display")
"""Associations that may change nothing (docs/meter-facts.md, "Associations")."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: what can be done with it, and how. `selectors` are the kinds of selective access it has."""

    read: Read | None = None
    write: Write | None = None
    select: Select | None = None
    selectors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CosemObject:
    """One object (attribute 1, the logical name, is understood). `public`: the public association sees it too.
    `owner`: the association that may change it, None for all that may change anything."""

    class_id: int
    attributes: Mapping[int, Attribute]
    methods: Mapping[int, Invoke] = field(default_factory=dict)
    version: int = 0
    public: bool = False
    owner: str | None = None


def data(read: Read, write: Write | None = None, *, public: bool = False) -> CosemObject:
    """An object of class Data."""
    return CosemObject(DATA, {2: Attribute(read, write)}, public=public)


def is_visible(entry: CosemObject, obis: Obis, kind: Association) -> bool:
    """Whether the association sees the object: the public one sees what tells meters apart, and itself."""
    return kind.name != PUBLIC or entry.public or obis in (CURRENT_ASSOCIATION, kind.logical_name)


def may_change(entry: CosemObject, kind: Association) -> bool:
    """Whether the association may write attributes and invoke methods of an object, as far as it has any."""
    return kind.name not in _READERS_ONLY and entry.owner in (None, kind.name)


def octets_of(value: bytes | None, least: int, most: int) -> bytes:
    """The octets of an octet-string that has so many; Refused otherwise."""
    found = _of_type(value, axdr.OCTET_STRING)
    assert isinstance(found, bytes)
    if not least <= len(found) <= most:
        raise Refused(Result.OTHER_REASON)
    return found


def number_of(value: bytes | None, tag: int, least: int, most: int) -> int:
    """The number of this A-XDR type within these bounds; Refused otherwise."""
    found = _of_type(value, tag)
    assert isinstance(found, int)
    if not least <= found <= most:
        raise Refused(Result.OTHER_REASON)
    return found


def _of_type(value: bytes | None, tag: int) -> axdr.Value:
    if not value or value[0] != tag:
        raise Refused(Result.TYPE_UNMATCHED)
    return axdr.decode(value)
