"""What is read of a meter, by its type: identity, clock, invocation counter, and profiles with their layout."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from drivers.address import Address
from drivers.credentials import Credentials
from drivers.dlms import apdu, axdr
from drivers.dlms.profile_buffer import decode_capture_objects, decode_profile, decode_scaler_unit, decode_scalers
from drivers.links.transcript import Transcript
from drivers.session import Session, open_session
from profiles.datetimes import encode_local
from profiles.errors import IdentityMismatch, ProtocolError, SettingsError
from profiles.meter_type import Association, MeterType, Profile
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit
from profiles.table import ProfileTable

PROFILE_GENERIC = 7
DATA = 1
BUFFER, CAPTURE_OBJECTS, CAPTURE_PERIOD, ENTRIES_IN_USE = 2, 3, 4, 7
VALUE = 2
SCALER_UNIT = 3

SHORTEST_PERIOD_S, LONGEST_PERIOD_S = 60, 86_400

REGISTER_CLASSES = frozenset({3, 4, 5})
"""Register, extended register, demand register: the classes with a scaler_unit (demand register: attribute 4)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a meter says of one of its profiles; it stays true until the firmware or the configuration changes."""

    capture_objects: tuple[CaptureObject, ...]
    scalers: dict[tuple[int, Obis, int], ScalerUnit]
    """By (class id, logical name, attribute 2)."""
    capture_period_s: int


async def read_invocation_counter(
    address: Address, meter_type: MeterType, counter: Obis, *, transcript: Transcript | None = None
) -> int:
    """The highest invocation counter the meter has seen of this association's clients, by the public client.

    It comes in clear, so it is hearsay: the caller bounds what it may do to our own counter.
    """
    public = meter_type.associations.get("public")
    if public is None:
        raise SettingsError(f"meter type {meter_type.name} has no public association to read its counter by")
    async with open_session(address, meter_type, public, Credentials(), transcript=transcript) as session:
        value = axdr.decode(await session.get(AttributeRef(DATA, counter, VALUE)))
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFFFF_FFFF:
        raise ProtocolError("the invocation counter is no 32-bit number", asked=f"get {counter}")
    return value


async def check_serial(session: Session, meter_type: MeterType, serial: str) -> None:
    """Compare the meter's serial number with the registered one; IdentityMismatch if they differ."""
    value = axdr.decode(await session.get(meter_type.serial))
    found = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    if found.strip("\0 ") != serial:
        raise IdentityMismatch(
            f"serial number {found[:40]!r} answers, {serial!r} is registered",
            asked=f"get {meter_type.serial}",
            remedy="another meter stands at this address: correct the registry, or the meter's address",
        )


async def read_layout(session: Session, profile: Profile) -> Layout:
    """Capture objects, scalers and period of a profile: three GETs, four where the scalers have a profile."""
    of = profile.obis
    captured = decode_capture_objects(await session.get(AttributeRef(PROFILE_GENERIC, of, CAPTURE_OBJECTS)))
    period = axdr.decode(await session.get(AttributeRef(PROFILE_GENERIC, of, CAPTURE_PERIOD)))
    if isinstance(period, bool) or not isinstance(period, int):
        raise ProtocolError("the capture period is no number of seconds", asked=f"get {of}")
    period = period or profile.capture_period_s
    if not SHORTEST_PERIOD_S <= period <= LONGEST_PERIOD_S:
        raise ProtocolError(f"a capture period of {period} s, a minute to a day can be read", asked=f"get {of}")
    return Layout(captured, await _read_scalers(session, profile, captured), period)


async def _read_scalers(
    session: Session, profile: Profile, captured: tuple[CaptureObject, ...]
) -> dict[tuple[int, Obis, int], ScalerUnit]:
    if profile.scaler_obis is not None:
        objects = AttributeRef(PROFILE_GENERIC, profile.scaler_obis, CAPTURE_OBJECTS)
        buffer = AttributeRef(PROFILE_GENERIC, profile.scaler_obis, BUFFER)
        return decode_scalers(decode_capture_objects(await session.get(objects)), await session.get(buffer))
    scalers: dict[tuple[int, Obis, int], ScalerUnit] = {}
    for column in captured:
        if column.class_id in REGISTER_CLASSES and column.attribute == VALUE:
            attribute = AttributeRef(column.class_id, column.obis, 4 if column.class_id == 5 else SCALER_UNIT)
            scaler_unit = decode_scaler_unit(await session.get(attribute), f"scaler_unit of {column}")
            scalers[column.class_id, column.obis, VALUE] = scaler_unit
    return scalers


async def read_profile(
    session: Session, meter_type: MeterType, profile: Profile, layout: Layout, start: datetime, end: datetime
) -> ProfileTable:
    """The rows of the intervals that start in [start, end), both in UTC.

    Where the meter offers no selection by time the whole buffer comes; rows outside the range may come from any
    meter, and are the caller's to keep or drop.
    """
    attribute = AttributeRef(PROFILE_GENERIC, profile.obis, BUFFER)
    selection = None
    if profile.selective_access == "range":
        shift = timedelta(seconds=layout.capture_period_s if profile.stamp == "end" else 0)
        first = start + shift
        last = end + shift - timedelta(seconds=layout.capture_period_s)
        clock = next((column for column in layout.capture_objects if column.class_id == 8), None)
        if clock is None:
            raise ProtocolError("no column of this profile is a clock", asked=f"get {attribute}", retry=False)
        selection = apdu.range_selection(
            clock,
            encode_local(first, meter_type.zone, meter_type.deviation),
            encode_local(last, meter_type.zone, meter_type.deviation),
        )
    elif profile.selective_access == "entry":
        in_use = axdr.decode(await session.get(AttributeRef(PROFILE_GENERIC, profile.obis, ENTRIES_IN_USE)))
        if isinstance(in_use, bool) or not isinstance(in_use, int) or not 0 <= in_use <= 0xFFFF_FFFF:
            raise ProtocolError("entries_in_use is no number of rows", asked=f"get {attribute}")
        if in_use == 0:
            return decode_profile(axdr.array([]), layout.capture_objects)
        selection = apdu.entry_selection(1, in_use)
    return decode_profile(await session.get(attribute, selection), layout.capture_objects)


def association_of(meter_type: MeterType, address: Address) -> Association:
    """The association that an address asks for by its client SAP, else the type's reading association."""
    if address.client is None:
        return meter_type.associations[meter_type.reading_association]
    for kind in meter_type.associations.values():
        if kind.client_sap == address.client:
            return kind
    known = ", ".join(f"{kind.client_sap} ({kind.name})" for kind in meter_type.associations.values())
    raise SettingsError(
        f"meter type {meter_type.name} has no association for client {address.client}",
        asked="associate",
        remedy=f"it has {known}",
    )
