"""What a simulated meter sends unasked: the bodies of its pushes, as notifications, under any cover, in blocks.

The one rule: nothing here sends; `push` gives the APDU, and `push_sender` brings it to a destination.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from drivers.dlms.apdu import DataNotification, EventNotification, GeneralBlockTransfer, tags
from drivers.dlms.ciphering import protection_of
from drivers.dlms.security import AUTHENTICATION, BOTH, ENCRYPTION
from profiles.errors import SettingsError
from profiles.meter_type import Association, MeterType, Push
from profiles.objects import AttributeRef, CaptureObject, Obis
from simulators import block_load
from simulators.objects import DATA, PUSH_SETUP

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
BLOCK_LOAD: Final = "block_load"
_DEVICE_ID: Final = CaptureObject(DATA, Obis(0, 0, 96, 1, 2), 2)
_ROWS_S: Final = 3600
"""How far back a push brings rows."""


def push(
    meter: SimulatedMeter,
    name: str,
    kind: Association | None = None,
    *,
    confirmed: bool = False,
    stamped: bool = False,
    tagged: bool = False,
    counter: int | None = None,
) -> bytes:
    """The APDU of the push with this name of the meter's type, covered as its rules say or as `kind` has it.

    `stamped`: with a date-time, `tagged`: with its tag before it. `counter`: the invocation counter, where it is not
    the meter's own next one. SettingsError for a push that the type does not have.
    """
    found = meter.meter_type.pushes.get(name)
    if found is None:
        raise SettingsError(f"meter type {meter.meter_type.name} has no push {name!r}")
    invoke_id = meter.next_push() | (CONFIRMED if confirmed else 0)
    stamp = meter.clock_octets() if stamped else b""
    plain = DataNotification(invoke_id, body(meter, found), stamp, tagged).encode()
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
    value = _value(meter, CaptureObject(*attribute))
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


def push_kind(meter_type: MeterType) -> Association:
    """The association under whose keys pushes are, with the cover that the type's rules name first."""
    rules = meter_type.push_rules
    kind = meter_type.associations[rules.keys_of or meter_type.reading_association]
    control = _CONTROLS[rules.covers[0]]
    return replace(kind, security_control=control | kind.suite if control else 0, signed=rules.signed)


def columns_of(found: Push) -> tuple[CaptureObject, ...]:
    """What a push holds: as documented, or, where only the meter knows: who it is, by which setup, and when."""
    setup = () if found.obis is None else (CaptureObject(PUSH_SETUP, found.obis, 1),)
    return tuple(column.captured for column in found.columns) or (_DEVICE_ID, *setup, block_load.CLOCK)


def body(meter: SimulatedMeter, found: Push) -> bytes:
    """The values of a push in A-XDR, in the form that its type has; after them rows of a profile, if it brings any."""
    columns = columns_of(found)
    values = [_value(meter, column) for column in columns]
    names = [axdr.octet_string(bytes(column.obis)) for column in columns]
    if found.form == "objects":
        scalers = [_scaler(meter, column) for column in columns]
        return axdr.array(
            [axdr.structure(*parts, *scaler) for *parts, scaler in zip(names, values, scalers, strict=True)]
        )
    if found.form == "pairs":
        values = [part for pair in zip(names, values, strict=True) for part in pair]
    if found.rows_of == BLOCK_LOAD:
        last = int(meter.now())
        values.append(axdr.array(meter.rows((last - _ROWS_S, last))))
    return axdr.structure(*values)


def _value(meter: SimulatedMeter, column: CaptureObject) -> bytes:
    """Of one attribute: the object's own, or what the newest row of the block load has; null-data where neither has."""
    if column.attribute == 1:
        return axdr.octet_string(bytes(column.obis))
    entry = meter.objects.get(column.obis)
    attribute = None if entry is None else entry.attributes.get(column.attribute)
    if attribute is not None and attribute.read is not None:
        return attribute.read(meter, push_kind(meter.meter_type))
    stored, captured = meter.stored_starts(), list(meter.capture_objects())
    if not stored or column not in captured:
        return axdr.null()
    row = axdr.Reader(meter.rows((stored[-1] + meter.period_s,) * 2)[0], "row", 1)
    return [row.datum() for _ in range(row.length())][captured.index(column)]


def _scaler(meter: SimulatedMeter, column: CaptureObject) -> tuple[bytes, ...]:
    """scaler_unit of a register."""
    registers = (one for one in meter.identity.maker.columns if one.obis == column.obis)
    register = next(registers, None)
    if register is None or register.scaler is None or register.unit is None:
        return ()
    return (axdr.structure(axdr.int8(register.scaler), axdr.enum(register.unit)),)
