"""COSEM data for people and for JSON, with the standard's type names kept.

The one rule: what is printed can be read back. `value` holds all that a datum is; what only explains it stands beside
it. The exception is an attribute that the Blue Book calls a secret: it is not shown at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from drivers.cosem.attributes import interpret
from drivers.cosem.plain import plain
from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from profiles.classes.shapes import SCALER_UNIT, Array, Enumeration, Flags, OneOf, Record, Scalar, Shape
from profiles.errors import ProtocolError
from profiles.meter_type import Deviation
from profiles.moments import Date, DateTime, Time
from profiles.obis_names import obis_name
from profiles.objects import Obis
from profiles.units import UNITS

REDACTED: Final = "redacted"
"""The type of a datum that is not shown."""

_MOMENTS: Final = {"date-time": DateTime, "date": Date, "time": Time}
_BELIEVABLE_YEARS: Final = range(1970, 2200)
_STANDARD: Final[Deviation] = "utc-minus-local"


def datum_to_json(datum: Datum, deviation: Deviation = _STANDARD) -> dict[str, Any]:
    """`{"type": "long-unsigned", "value": 2301}`: the form that `--json` prints and VALUE takes.

    Octets are lower-case hex, bit-strings 0 and 1, elements a list; a number that JSON has not is text (`nan`, `inf`).
    Beside it: `text` or `datetime` of octets that read as one, `description` (hex) of a compact-array. A utf8-string
    that is none has `octets` in place of `value`. `deviation`: what that of a date-time means, see `iso`.
    """
    shown: dict[str, Any] = {"type": datum.type}
    match datum.value:
        case _ if datum.type == REDACTED:
            pass
        case tuple(elements):
            shown["value"] = [datum_to_json(element, deviation) for element in elements]
            if datum.description:
                shown["description"] = datum.description.hex()
        case bytes(octets):
            shown["octets" if datum.type == "utf8-string" else "value"] = octets.hex()
            shown |= _reading(datum, deviation)
        case float(number) if not math.isfinite(number):
            shown["value"] = str(number)
        case value:
            shown["value"] = value
    return shown


def iso(moment: DateTime, deviation: Deviation = _STANDARD) -> str | None:
    """ISO 8601 of a date-time, `2026-01-03T06:30:00+05:30`; None where a field is not specified or out of range.

    Seconds and hundredths that are not specified count as 0. The offset is left out where the deviation is not
    specified, or is to be ignored.
    """
    year = int.from_bytes(moment.octets[:2], "big")
    month, day, _, hour, minute, second, hundredths = moment.octets[2:9]
    second, hundredths = (0 if field == 0xFF else field for field in (second, hundredths))
    try:
        local = datetime(year, month, day, hour, minute, second, hundredths * 10_000)
        minutes = moment.deviation_min
        if minutes is not None and deviation != "ignore":
            offset = timedelta(minutes=minutes if deviation == "local-minus-utc" else -minutes)
            local = local.replace(tzinfo=timezone(offset))
    except ValueError:
        return None
    return local.isoformat(timespec="seconds" if not hundredths else "milliseconds")


def hide_secrets(datum: Datum, shape: Shape | None) -> Datum:
    """The datum without what its shape calls secret; a shape that it does not have hides all of it if any part is."""
    match shape:
        case Scalar.SECRET:
            return Datum(REDACTED)
        case Array(item) if isinstance(datum.value, tuple):
            return replace(datum, value=tuple(hide_secrets(element, item) for element in datum.value))
        case Record(fields) if isinstance(datum.value, tuple) and len(datum.value) == len(fields):
            parts = zip(datum.value, fields.values(), strict=True)
            return replace(datum, value=tuple(hide_secrets(part, inner) for part, inner in parts))
        case None | Scalar() | Enumeration() | Flags():
            return datum
        case _:
            return Datum(REDACTED) if _holds_secret(shape) else datum


def datum_lines(
    datum: Datum, shape: Shape | None = None, *, label: str = "", deviation: Deviation = _STANDARD
) -> Iterator[str]:
    """A datum as a tree, a line an element, two blanks deeper inside; names by `shape` where the datum has it."""
    shape = _fitting(datum, shape)
    head = f"{label}: " if label else ""
    if not isinstance(datum.value, tuple):
        beside = remark(datum, shape, deviation)
        yield f"{head}{_leaf(datum)}{f'  {beside}' if beside else ''}"
        return
    yield f"{head}{datum.type} of {len(datum.value)}"
    names: list[str] = [""] * len(datum.value)
    shapes: list[Shape | None] = [shape.item if isinstance(shape, Array) else None] * len(datum.value)
    if isinstance(shape, Record) and len(shape.fields) == len(datum.value):
        names, shapes = list(shape.fields), list(shape.fields.values())
        if shape == SCALER_UNIT:
            shapes[1] = Enumeration(UNITS)
    for element, name, inner in zip(datum.value, names, shapes, strict=True):
        for line in datum_lines(element, inner, label=name, deviation=deviation):
            yield f"  {line}"


def remark(datum: Datum, shape: Shape | None = None, deviation: Deviation = _STANDARD) -> str:
    """What a datum without elements means, in words; empty where that is what it says anyway."""
    if datum.type == REDACTED:
        return ""
    if shape is None or shape is Scalar.ANY or shape is Scalar.OCTETS:
        reading = _reading(datum, deviation)
        if reading:
            return str(next(iter(reading.values())))
        octets = datum.value
        if isinstance(octets, bytes) and len(octets) == 6 and (name := obis_name(Obis.of(octets))):
            return f"{Obis.of(octets)} {name}"
        return ""
    try:
        meaning = interpret(shape, axdr.decode(axdr.encode_typed(datum)))
    except ProtocolError:
        return remark(datum, None, deviation)
    match meaning:
        case DateTime():
            return iso(meaning, deviation) or str(meaning)
        case Obis():
            return f"{meaning} {obis_name(meaning) or ''}".rstrip()
        case None | bytes():
            return ""
        case tuple() if isinstance(shape, Flags):
            return ", ".join(meaning)
        case _:
            said = str(plain(meaning))
            return "" if said == str(datum.value) or isinstance(meaning, bool | float) else said


def _leaf(datum: Datum) -> str:
    match datum.value:
        case None:
            return datum.type
        case bytes(octets):
            return f"{datum.type} {octets.hex()}" if octets else f"{datum.type} (empty)"
        case str(text) if datum.type != "bit-string":
            return f"{datum.type} {text!r}"
        case value:
            return f"{datum.type} {str(value).lower() if isinstance(value, bool) else value}"


def _reading(datum: Datum, deviation: Deviation) -> dict[str, str]:
    """`datetime` or `text`, where octets read as one."""
    octets = datum.value
    if not isinstance(octets, bytes) or not octets:
        return {}
    kind = _MOMENTS.get(datum.type) or (DateTime if _looks_like_a_date_time(octets) else None)
    if kind is not None:
        moment = kind(octets)
        stamp = iso(moment, deviation) if isinstance(moment, DateTime) else None
        return {"datetime": stamp} if stamp else {"text": str(moment)}
    try:
        text = octets.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return {}
    return {"text": text} if text and text.isprintable() else {}


def _looks_like_a_date_time(octets: bytes) -> bool:
    if len(octets) != 12 or not DateTime(octets).is_valid:
        return False
    year = int.from_bytes(octets[:2], "big")
    return year in _BELIEVABLE_YEARS or (year == 0xFFFF and octets.count(0xFF) < 12)


def _fitting(datum: Datum, shape: Shape | None) -> Shape | None:
    """The one of several shapes that the datum has."""
    if not isinstance(shape, OneOf):
        return shape
    value = axdr.decode(axdr.encode_typed(datum))
    for one in shape.shapes:
        try:
            interpret(one, value)
        except ProtocolError:
            continue
        return one
    return None


def _holds_secret(shape: Shape) -> bool:
    match shape:
        case Scalar():
            return shape is Scalar.SECRET
        case Array(item):
            return _holds_secret(item)
        case Record(fields):
            return any(map(_holds_secret, fields.values()))
        case OneOf(shapes):
            return any(map(_holds_secret, shapes))
        case _:
            return False
