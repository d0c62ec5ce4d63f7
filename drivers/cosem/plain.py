"""Meanings as JSON: plain dicts, lists, numbers and text.

The one rule: a secret stays a secret.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from drivers.cosem.attributes import EnumValue, Meaning
from drivers.dlms import axdr
from drivers.dlms.security import Secret
from profiles.moments import Date, DateTime, Time
from profiles.objects import CaptureObject, Obis


def plain(meaning: Meaning) -> Any:
    """Octets as lower-case hex, bit-strings as their bits, an enumeration by its name (its number where it has none),
    records by field, OBIS codes, date-times and addresses as their text, secrets as "redacted"."""
    match meaning:
        case None | bool() | int() | float() | str():
            return meaning
        case bytes():
            return meaning.hex()
        case axdr.BitString():
            return meaning.bits
        case axdr.Delta():
            return {"difference": meaning.difference}
        case Secret():
            return "redacted"
        case EnumValue(number, name):
            return name or number
        case dict():
            return {name: plain(value) for name, value in meaning.items()}
        case DateTime() | Date() | Time() | Obis():
            return str(meaning)
        case _ if is_dataclass(meaning):
            return {field.name: plain(getattr(meaning, field.name)) for field in fields(meaning)}
        case CaptureObject():
            return plain(meaning._asdict())
        case list() | tuple():
            return [plain(one) for one in meaning]
        case _:
            return str(meaning)
