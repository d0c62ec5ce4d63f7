"""VALUE of `headend set` and `call`: text to a typed datum, before any meter is asked.

    null  true  false  u8:5  i32:-7  f64:1.5  enum:2  bits:0101  str:text  utf8:text  octets:00ff  text:abc
    obis:1.0.1.8.0.255  datetime:2026-01-01T00:00:00+05:30  date:*-01-26  time:06:30  double-long-unsigned:5
    {"type": "structure", "value": [{"type": "unsigned", "value": 1}, ...]}

The JSON is what `headend get --json` prints, or the `data` of it. The one rule: what is wrong with a value is said with
its place, and a value that may be a key is never repeated.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from drivers.cosem.rendering import REDACTED
from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from headend.raw_moments import parse_date, parse_date_time, parse_time_of_day
from profiles.errors import ProtocolError, SettingsError
from profiles.meter_type import Deviation
from profiles.objects import Obis

MAX_TEXT: Final = 4 * 1024 * 1024

_RANGES: Final = {
    "integer": (-(1 << 7), (1 << 7) - 1),
    "long": (-(1 << 15), (1 << 15) - 1),
    "double-long": (-(1 << 31), (1 << 31) - 1),
    "long64": (-(1 << 63), (1 << 63) - 1),
    "unsigned": (0, (1 << 8) - 1),
    "long-unsigned": (0, (1 << 16) - 1),
    "double-long-unsigned": (0, (1 << 32) - 1),
    "long64-unsigned": (0, (1 << 64) - 1),
    "enum": (0, (1 << 8) - 1),
    "bcd": (-(1 << 7), (1 << 7) - 1),
    "delta-integer": (-(1 << 7), (1 << 7) - 1),
    "delta-long": (-(1 << 15), (1 << 15) - 1),
    "delta-double-long": (-(1 << 31), (1 << 31) - 1),
    "delta-unsigned": (0, (1 << 8) - 1),
    "delta-long-unsigned": (0, (1 << 16) - 1),
    "delta-double-long-unsigned": (0, (1 << 32) - 1),
}
_SHORT: Final = {
    "u8": "unsigned",
    "u16": "long-unsigned",
    "u32": "double-long-unsigned",
    "u64": "long64-unsigned",
    "i8": "integer",
    "i16": "long",
    "i32": "double-long",
    "i64": "long64",
    "f32": "float32",
    "f64": "float64",
    "bool": "boolean",
    "bits": "bit-string",
    "octets": "octet-string",
    "str": "visible-string",
    "utf8": "utf8-string",
}
_FLOATS: Final = frozenset({"float32", "float64", "floating-point"})
_OCTETS: Final = {"octet-string": None, "date-time": 12, "date": 5, "time": 4}
"""Types whose value is octets, and how many."""
_CONTAINERS: Final = frozenset({"array", "structure", "compact-array"})
_NOTHING: Final = frozenset({"null-data", "dont-care"})
_REMEDY: Final = "write it as u8:5, str:text, octets:00ff, datetime:2026-01-31T06:15+05:30, null, true, or as JSON"


def parse_value(text: str, deviation: Deviation = "utc-minus-local") -> Datum:
    """The datum that VALUE names; SettingsError with the place of what is wrong.

    `datetime:`, `date:` and `time:` make octet-strings, which is how nearly every attribute has them; the types of
    these names need JSON, or `date-time:`. `deviation`: what the meter takes that of a date-time for.
    """
    if len(text) > MAX_TEXT:
        raise SettingsError(f"the value is longer than {MAX_TEXT} characters")
    text = text.strip("\r\n")
    if text.lstrip().startswith(("{", "[")):
        return _json(text)
    words = {"null": Datum("null-data"), "true": Datum("boolean", True), "false": Datum("boolean", False)}
    if text in words:
        return words[text]
    name, colon, rest = text.partition(":")
    if not colon:
        raise SettingsError("the value names no type", remedy=_REMEDY)
    return _checked(_written(name, rest, deviation), "")


def _written(name: str, text: str, deviation: Deviation) -> Datum:
    kind = _SHORT.get(name, name)
    try:
        if name in _AS_OCTETS:
            return Datum("octet-string", _AS_OCTETS[name](text))
        if name == "datetime":
            return Datum("octet-string", parse_date_time(text, deviation))
        if kind == "date-time":
            return Datum(kind, parse_date_time(text, deviation))
        if kind in _RANGES:
            return Datum(kind, int(text, 16) if text.lower().startswith("0x") else int(text))
        if kind in _FLOATS:
            return Datum(kind, float(text))
        if kind == "boolean":
            return Datum(kind, {"true": True, "false": False, "1": True, "0": False}[text.lower()])
        if kind == "octet-string":
            return Datum(kind, bytes.fromhex(text))
        if kind in ("bit-string", "visible-string", "utf8-string"):
            return Datum(kind, text)
        if kind in _NOTHING and not text:
            return Datum(kind)
    except SettingsError as error:
        raise SettingsError(f"{name}: {error.message}", remedy=error.remedy) from None
    except (ValueError, KeyError):
        raise SettingsError(f"what follows {name}: is no {kind}", remedy=_REMEDY) from None
    known = kind in axdr.TAGS
    raise SettingsError(
        f"a value of type {kind} is written as JSON"
        if known
        else "what stands before its colon is no type of COSEM data",
        remedy=_REMEDY,
    )


_AS_OCTETS: Final[Mapping[str, Callable[[str], bytes]]] = {
    "date": parse_date,
    "time": parse_time_of_day,
    "obis": lambda text: bytes(Obis.parse(text)),
    "text": str.encode,
}


# --- JSON -----------------------------------------------------------------------------------------------------


def _json(text: str) -> Datum:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"the value is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except (RecursionError, ValueError):
        raise SettingsError("the value is not JSON that can be read here") from None
    if isinstance(document, dict) and "type" not in document and "data" in document:
        return _datum(document["data"], "data", axdr.DEFAULT.depth)
    return _datum(document, "", axdr.DEFAULT.depth)


def _datum(found: Any, place: str, depth: int) -> Datum:
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise _wrong(place, 'is not an object with a "type", such as {"type": "unsigned", "value": 5}')
    kind: str = found["type"]
    value = found.get("value")
    unknown = found.keys() - {"type", "value", "octets", "text", "datetime", "description"}
    if kind == REDACTED:
        raise _wrong(place, "is redacted: what was not shown can't be written")
    if kind not in axdr.TAGS:
        raise _wrong(place, f"{kind[:40]!r} is not a type of COSEM data")
    if unknown:
        raise _wrong(place, f"has an unknown key {sorted(unknown)[0][:40]!r}")
    if kind in _CONTAINERS:
        return _container(kind, value, found.get("description"), place, depth)
    if kind == "utf8-string" and "octets" in found:
        return Datum(kind, _hex(found["octets"], place))
    if kind in _OCTETS:
        return _checked(Datum(kind, _hex(value, place)), place)
    if kind in _FLOATS and isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return Datum(kind, float(value))
    return _checked(Datum(kind, value), place)


def _container(kind: str, value: Any, description: Any, place: str, depth: int) -> Datum:
    if not isinstance(value, list):
        raise _wrong(place, f"the value of a {kind} is a list")
    if depth <= 0:
        raise _wrong(place, "is nested too deep")
    inside = f"{place}.value" if place else "value"
    elements = tuple(_datum(element, f"{inside}[{index}]", depth - 1) for index, element in enumerate(value))
    if kind != "compact-array":
        return Datum(kind, elements)
    return _checked(Datum(kind, elements, _hex(description, f"{place}.description".lstrip("."))), place)


def _hex(value: Any, place: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        raise _wrong(place, "octets are written as hex digits") from None


def _checked(datum: Datum, place: str) -> Datum:
    """The datum, if its type can hold its value."""
    value, size = datum.value, _OCTETS.get(datum.type)
    if datum.type in _RANGES:
        low, high = _RANGES[datum.type]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _wrong(place, f"a value of type {datum.type} is a whole number from {low} to {high}")
    if datum.type in _FLOATS and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise _wrong(place, f"a value of type {datum.type} is a number")
    if size is not None and (not isinstance(value, bytes) or len(value) != size):
        raise _wrong(place, f"a value of type {datum.type} has {size} octets")
    if datum.type == "bit-string" and (not isinstance(value, str) or set(value) - {"0", "1"}):
        raise _wrong(place, "a bit-string is written with 0 and 1")
    try:
        encoded = axdr.encode_typed(datum)
        if datum.type == "compact-array" and axdr.encode_typed(axdr.decode_typed(encoded)) != encoded:
            raise ProtocolError("another type")
    except ProtocolError:
        raise _wrong(place, "the elements are not of the type that the description states") from None
    except (ValueError, OverflowError, struct.error) as error:
        raise _wrong(place, str(error)) from None
    return datum


def _wrong(place: str, problem: str) -> SettingsError:
    return SettingsError(f"the value{f', at {place}' if place else ''}: {problem}")
