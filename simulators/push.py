"""What a simulated meter sends unasked: the bodies of its pushes, as notifications, under any cover, in blocks.

The one rule: nothing here sends; `push` gives the APDU, and `push_sender` brings it to a destination.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from drivers.dlms.apdu import DataNotification, EventNotification, GeneralBlockTransfer, tags
from drivers.dlms.ciphering import protection_of
from drivers.dlms.security import AUTHENTICATION, BOTH, ENCRYPTION
from profiles.columns import parse_columns
from profiles.errors import SettingsError
from profiles.meter_type import Association, Column, MeterType, Profile, Push
from profiles.objects import AttributeRef, CaptureObject
from simulators.model.identity import LOGICAL_DEVICE_NAME
from simulators.objects import CLOCK, PUSH_SETUP
from simulators.registers import register_of
from simulators.rows import scaler_unit

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

CONFIRMED: Final = 0x4000_0000
"""Service-class of a long-invoke-id-and-priority: the meter waits for a confirmation."""
BLOCK_OCTETS: Final = 400
"""Of a body that goes in general blocks."""

_CONTROLS: Final = {
    "clear": 0,
    "authentication": AUTHENTICATION,
    "encryption": ENCRYPTION,
    "authentication-and-encryption": BOTH,
}
_LEARNT: Final = ("3/1.0.1-2.7.0.255/2 0 W", "3/1.0.31.7.0.255/2 -1 A", "3/1.0.32.7.0.255/2 -1 V")
"""What a push brings whose values tell what they are, and of which the type says nothing."""
_ROWS_S: Final = 3600
"""How far back a push brings rows of blocks."""
_MOST_ROWS: Final = 4
"""How many of the newest rows of other profiles it brings."""


def push(
    meter: SimulatedMeter,
    name: str,
    kind: Association | None = None,
    *,
    confirmed: bool = False,
    stamped: bool = False,
    tagged: bool = False,
    counter: int | None = None,
    raised: Iterable[int] = (),
) -> bytes:
    """The APDU of the push with this name of the meter's type, covered as its rules say or as `kind` has it.

    `stamped`: with a date-time, `tagged`: with its tag before it. `counter`: the invocation counter, where it is not
    the meter's own next one. `raised`: bits of the event status word that are set in it beside those that are.
    SettingsError for a push that the type does not have.
    """
    found = meter.meter_type.pushes.get(name)
    if found is None:
        raise SettingsError(f"meter type {meter.meter_type.name} has no push {name!r}")
    invoke_id = meter.next_push() | (CONFIRMED if confirmed else 0)
    stamp = meter.clock_octets() if stamped else b""
    plain = DataNotification(invoke_id, body(meter, found, raised), stamp, tagged).encode()
    return cover(meter, kind or push_kind(meter.meter_type), plain, counter=counter)


def event(
    meter: SimulatedMeter,
    attribute: AttributeRef,
    kind: Association | None = None,
    *,
    stamped: bool = True,
    counter: int | None = None,
) -> bytes:
    """The APDU of an event-notification of one attribute; covers as in `push`."""
    value = _attribute(meter, CaptureObject(*attribute))
    time = meter.clock_octets() if stamped else None
    plain = EventNotification(attribute, value, time).encode()
    return cover(meter, kind or push_kind(meter.meter_type), plain, counter=counter)


def cover(meter: SimulatedMeter, kind: Association, plain: bytes, *, counter: int | None = None) -> bytes:
    """A notification as an association of this kind protects it. A data-notification has no glo form: general-glo."""
    if kind.ciphering == "glo" and plain[0] not in tags.GLO:
        kind = replace(kind, ciphering="general-glo")
    take = meter.next_counter if counter is None else lambda: counter
    protection = protection_of(kind, meter.credentials(kind), meter.client_title, take)
    return plain if protection is None else protection.protect(plain)


def in_blocks(apdu: bytes, size: int = BLOCK_OCTETS) -> list[bytes]:
    """An APDU in general blocks that nobody has to confirm."""
    pieces = [apdu[at : at + size] for at in range(0, len(apdu), size)]
    return [
        GeneralBlockTransfer(number == len(pieces), number < len(pieces), 0, number, 0, piece).encode()
        for number, piece in enumerate(pieces, 1)
    ]


def push_kind(meter_type: MeterType, cover: str = "") -> Association:
    """The association under whose keys pushes are, with this cover, or the one that the type's rules name first."""
    rules = meter_type.push_rules
    kind = meter_type.associations[rules.keys_of or meter_type.reading_association]
    control = _CONTROLS[cover or rules.covers[0]]
    return replace(kind, security_control=control | kind.suite if control else 0, signed=rules.signed)


def columns_of(meter_type: MeterType, found: Push) -> tuple[Column, ...]:
    """What a push holds: as documented, or, where only the meter knows: who it is, by which setup, when, and what a
    profile of the same name captures."""
    if found.columns:
        return found.columns
    if found.form == "objects":
        return tuple(column for text in _LEARNT for column in parse_columns(text))
    who = AttributeRef(1, LOGICAL_DEVICE_NAME, 2) if meter_type.device_id is None else meter_type.device_id
    setup = () if found.obis is None else (CaptureObject(PUSH_SETUP, found.obis, 1),)
    profile = meter_type.profiles.get(found.name)
    captured = (
        () if profile is None else tuple(one.captured for one in profile.columns if one.captured.class_id != CLOCK)
    )
    return tuple(map(Column, (CaptureObject(*who), *setup, CaptureObject(*meter_type.clock), *captured)))


def body(meter: SimulatedMeter, found: Push, raised: Iterable[int] = ()) -> bytes:
    """The values of a push in A-XDR, in the form that its type has; after them rows of a profile, if it brings any."""
    listed = None if found.obis is None else meter.state.push_lists.get(found.obis)
    columns = columns_of(meter.meter_type, found) if listed is None else tuple(map(Column, listed))
    values = [_value(meter, column, found) for column in columns]
    for place, column in enumerate(columns) if raised else ():
        if is_status_word(meter.meter_type, column.captured):
            values[place] = _with_bits(values[place], raised)
    names = [axdr.octet_string(bytes(column.captured.obis)) for column in columns]
    if found.form == "objects":
        scalers = [_scaler(meter, column, found) for column in columns]
        return axdr.array(
            [axdr.structure(*parts, *scaler) for *parts, scaler in zip(names, values, scalers, strict=True)]
        )
    if found.form == "pairs":
        values = [part for pair in zip(names, values, strict=True) for part in pair]
    if found.rows_of is not None:
        values.append(axdr.array(_rows(meter, meter.meter_type.profiles[found.rows_of])))
    return axdr.structure(*values)


def is_status_word(meter_type: MeterType, captured: CaptureObject) -> bool:
    """Whether an attribute is the event status word."""
    status = meter_type.status_word
    return status is not None and captured[:3] == tuple(status.word)


def _with_bits(word: bytes, raised: Iterable[int]) -> bytes:
    """An event status word in A-XDR with more of its bits set; as it is where it is none."""
    found = axdr.decode(word)
    if not isinstance(found, axdr.BitString):
        return word
    return axdr.bit_string("".join("1" if place in raised else bit for place, bit in enumerate(found.bits)))


def _rows(meter: SimulatedMeter, profile: Profile) -> list[bytes]:
    """The newest ones."""
    now = int(meter.now())
    if profile.kind == "block_load":
        return meter.rows((now - _ROWS_S, now)) if profile.name == "block_load" else []
    if profile.kind == "nameplate":
        return [axdr.structure(*(_attribute(meter, column) for column in profile.capture_objects))]
    return meter.rows_of(profile, None)[-_MOST_ROWS:]


def _value(meter: SimulatedMeter, column: Column, found: Push) -> bytes:
    """Of one column: as the push has it, where it scales by itself; else what the object holds, null-data for none."""
    if column.captured.attribute == 1:
        return axdr.octet_string(bytes(column.captured.obis))
    if column.scaler is not None or AttributeRef(*column.captured[:3]) in found.corrections:
        return meter.reading(register_of(meter.meter_type, column, meter.identity.maker, found.corrections))
    return _attribute(meter, column.captured)


def _attribute(meter: SimulatedMeter, column: CaptureObject) -> bytes:
    entry = meter.objects.get(column.obis)
    attribute = None if entry is None else entry.attributes.get(column.attribute)
    if attribute is None or attribute.read is None:
        return axdr.null()
    return attribute.read(meter, push_kind(meter.meter_type))


def _scaler(meter: SimulatedMeter, column: Column, found: Push) -> tuple[bytes, ...]:
    """scaler_unit of a register."""
    known = meter.columns.of_object(column.captured.obis, column.captured.attribute, meter.identity.maker)
    if column.scaler is not None or known is None:
        known = register_of(meter.meter_type, column, meter.identity.maker, found.corrections)
    return (scaler_unit(known),) if known.scaler is not None else ()
