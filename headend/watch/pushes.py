"""What one push says, for a person: who, what, when, how far it is proven, and what could not be understood.

The one rule: every arrival is shown. What does not open or is not understood is shown with what its outside says, and
with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from drivers.cosem.plain import plain
from drivers.dlms import axdr
from drivers.dlms.apdu import DataNotification, EventNotification
from drivers.push import Arrival, Cover, Push, PushPolicy, open_push
from drivers.push.opening import cover_of
from drivers.reading.values import captured_name
from headend.push.moments import moment_of
from headend.watch.pushers import Pusher, Pushers
from headend.words import Words, words
from profiles.errors import HeadEndError, ProtocolError, SecurityError
from profiles.events import ESW_BITS, Event, decode_esw, esw_bit, event
from profiles.meter_type import REGISTER_CLASSES, MeterType
from profiles.objects import AttributeRef, ScalerUnit
from profiles.push_readings import Reading, Scalers, push_readings
from profiles.units import unit_symbol

PUSH_SETUP: Final = 40
CLOCK: Final = 8
NO_UNIT: Final = 255
Units = Mapping[AttributeRef, int | None]
"""By attribute, as far as the type says."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN: Final = 512
"""Octets of an APDU that is shown as it came."""


@dataclass(frozen=True, slots=True)
class Said:
    """One value. `unit`: its symbol, "" for none."""

    code: str
    name: str
    value: Any
    unit: str = ""
    scaled: bool = True
    """False for a number of a register as it came, times a power of ten that is not known here."""


@dataclass(slots=True)
class Heard:
    """One arrival. Empty: not known. `stamp`: what the meter says is the time, in its zone."""

    at: datetime
    peer: str
    meter: str = ""
    system_title: str = ""
    device_id: str = ""
    kind: str = field(default_factory=lambda: words("watch.not_understood"))
    stamp: datetime | None = None
    cover: str = ""
    counter: int | None = None
    authenticated: bool = False
    confirmed: bool = False
    values: list[Said] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    raw: str = ""
    """Of what is not understood, the first octets in hex."""


def heard(arrival: Arrival, pushers: Pushers, at: datetime) -> tuple[Heard, Push | None]:
    """What came, and the push where it opened."""
    found = Heard(at, arrival.peer)
    push = None
    try:
        pusher, claim = pushers.find(arrival)
        found.meter = pusher.name
        found.system_title = claim.title.hex().upper()
        pushing = pusher.pushing(claim.title, pushers.client_title)
        found.cover = str(cover_of(arrival.apdu))
        if found.cover != str(Cover()) and pushing.credentials.encryption_key is None:
            raise SecurityError(words("watch.no_key"), remedy=words("watch.no_key_remedy"))
        push = open_push(arrival, pushing)
        _cover(found, push, pusher)
        if pushers.repeats(push):
            found.doubts.append(words("watch.repeated"))
        _body(found, push, pusher.meter_type)
    except HeadEndError as error:
        advised = {"why": error.message, "remedy": error.remedy}
        found.doubts.append(words("watch.with_remedy", **advised) if error.remedy else error.message)
        found.raw = arrival.apdu[:_SHOWN].hex()
    return found, push


def _cover(found: Heard, push: Push, pusher: Pusher) -> None:
    found.system_title = push.title.hex().upper()
    found.cover, found.counter, found.authenticated = str(push.cover), push.counter, push.authenticated
    policy = PushPolicy.of(pusher.meter_type)
    if push.cover.control not in policy.controls or (policy.signed and not push.cover.signed):
        found.doubts.append(words("watch.refused", policy=policy, type=pusher.meter_type.name))
    if not push.authenticated:
        found.doubts.append(words("watch.unproven"))
    notification = push.notification
    if isinstance(notification, DataNotification) and notification.confirmed and not policy.confirmed:
        found.doubts.append(words("watch.wants_confirmation", type=pusher.meter_type.name))


def _body(found: Heard, push: Push, meter_type: MeterType) -> None:
    notification = push.notification
    if isinstance(notification, EventNotification):
        found.kind = "event_notification"
        found.stamp = _moment(notification.time or b"", meter_type)
        reading = Reading(notification.attribute.obis, notification.attribute, axdr.decode(notification.data))
        _take(found, reading, meter_type, {})
        return
    found.stamp = _moment(notification.date_time, meter_type)
    body = axdr.decode(notification.data)
    try:
        said = push_readings(meter_type, body, scalers=_scalers(meter_type))
    except ProtocolError as error:
        found.doubts.append(error.message)
        found.values += [Said("", f"value {place}", shown) for place, shown in enumerate(_listed(body), 1)]
        return
    found.kind = said.push.name
    units = {AttributeRef(*column.captured[:3]): column.unit for column in said.push.columns}
    for reading in said.readings:
        _take(found, reading, meter_type, units)
    if not all(value.scaled for value in found.values):
        found.doubts.append(words("watch.unscaled_numbers"))
    if said.rows is not None:
        found.values.append(Said("", f"rows of {said.push.rows_of}", plain(said.rows)))


def _scalers(meter_type: MeterType) -> dict[str, Scalers]:
    """By profile, those that the type says: `headend check --save-type` writes down what the meter says."""
    return {
        name: {
            (one.captured.class_id, one.captured.obis, one.captured.attribute): ScalerUnit(
                one.scaler, NO_UNIT if one.unit is None else one.unit
            )
            for one in profile.columns
            if one.scaler is not None
        }
        for name, profile in meter_type.profiles.items()
    }


def _is_scaled(attribute: AttributeRef | None) -> bool:
    return attribute is not None and attribute.class_id in REGISTER_CLASSES and attribute.attribute == 2


def _listed(body: object) -> list[Any]:
    elements = body if isinstance(body, tuple | list) else [body]
    return [plain(one) for one in elements]


def _take(found: Heard, reading: Reading, meter_type: MeterType, units: Units) -> None:
    """One reading: who, when, what happened, or a value."""
    attribute, value = reading.attribute, reading.value
    if attribute is not None and attribute == meter_type.device_id and isinstance(value, bytes | str):
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
        found.device_id = text.strip("\0 ")
    elif attribute is not None and attribute == meter_type.clock:
        found.stamp = _moment(value, meter_type) or found.stamp
    elif attribute is not None and attribute.class_id == PUSH_SETUP and attribute.attribute == 1:
        return
    elif attribute is not None and meter_type.status_word is not None and attribute == meter_type.status_word.word:
        found.values.append(Said(_code(reading), words("reading.status_word"), _bits(value, meter_type)))
    else:
        found.values.append(_value(reading, meter_type, units))


def _value(reading: Reading, meter_type: MeterType, units: Units) -> Said:
    code, name = _code(reading), _name(reading)
    if reading.number is not None:
        unit = "" if reading.unit is None else unit_symbol(reading.unit)
        return Said(code, name, float(reading.number), unit)
    if reading.attribute is not None and type(reading.value) is int and _is_scaled(reading.attribute):
        named = units.get(reading.attribute)
        return Said(code, name, reading.value, "" if named is None else unit_symbol(named), scaled=False)
    of_log = next((log for log in meter_type.of_kind("event_log")
                   if log.event_log is not None and log.event_log.code == reading.attribute), None)  # fmt: skip
    if of_log is not None and type(reading.value) is int:
        happened = event(reading.value, meter_type.event_maker)
        return Said(code, of_log.name.replace("_", " "), _of_number(reading.value, happened))
    if isinstance(reading.value, bytes):
        moment = _moment(reading.value, meter_type)
        if moment is not None and len(reading.value) == 12:
            return Said(code, name, moment.isoformat())
        text = reading.value.rstrip(b"\0 ")
        if text.isascii() and text.decode("ascii").isprintable():
            return Said(code, name, text.decode("ascii"))
    return Said(code, name, plain(reading.value))


def _bits(value: object, meter_type: MeterType) -> list[str] | Any:
    """What holds, in words."""
    if isinstance(value, axdr.BitString):
        numbers = [place for place, bit in enumerate(value.bits) if bit == "1"]
    elif isinstance(value, bytes) and len(value) * 8 == ESW_BITS:
        numbers = sorted(decode_esw(value))
    else:
        return plain(value)
    bits = [esw_bit(number, meter_type.event_maker) for number in numbers]
    return [Words(bit.english, bit.hindi) for bit in bits]


def _of_number(number: int, happened: Event) -> Words:
    return Words(f"{number} {happened.english}", f"{number} {happened.hindi}")


def _name(reading: Reading) -> str:
    if reading.attribute is not None:
        return captured_name(AttributeRef(*reading.attribute[:3])).replace("_", " ")
    return reading.name or "value without a code"


def _code(reading: Reading) -> str:
    if reading.attribute is not None:
        return f"{reading.attribute.class_id}/{reading.attribute.obis}/{reading.attribute.attribute}"
    return "" if reading.obis is None else str(reading.obis)


def _moment(octets: object, meter_type: MeterType) -> datetime | None:
    moment = moment_of(octets, meter_type)
    if moment is None:
        return None
    return (_EPOCH + timedelta(microseconds=moment.utc)).astimezone(ZoneInfo(meter_type.zone))
