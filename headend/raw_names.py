"""CLASS, OBIS and INDEX of the raw commands: numbers, or the names that the Blue Book gives them.

The one rule: a number is always taken, also one that has no name here; a name has to mean one thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from profiles.classes import class_name, class_names, versions_of
from profiles.errors import SettingsError
from profiles.obis_names import find_obis
from profiles.objects import Obis

_NUMBER: Final = re.compile(r"-?\d{1,6}", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_NO_LETTERS: Final = re.compile(r"[^a-z0-9]+")


def parse_class(text: str) -> int:
    """A class id from `8`, `clock`, `profile-generic`, or the beginning of one name, such as `disconnect`."""
    if _NUMBER.fullmatch(text):
        return _within(int(text), 0, 0xFFFF, "a class id", text)
    return _named(text, {name: class_id for class_id, name in class_names().items()}, "class")


def parse_obis(text: str) -> Obis:
    """A logical name from `1.0.99.1.0.255`, `1-0:99.1.0*255`, `0100630100ff`, or a name: `active-energy-import`."""
    if _HEX.fullmatch(text):
        return Obis.of(bytes.fromhex(text))
    try:
        return Obis.parse(text)
    except ValueError as error:
        found = find_obis(text) if any(letter.isalpha() for letter in text) else None
        if found is None:
            raise SettingsError(str(error), remedy="or give a name, such as clock") from None
        return found


def parse_attribute(class_id: int, text: str) -> int:
    """An attribute's index from its number (-128 to 127) or its name, in any version of the class."""
    if _NUMBER.fullmatch(text):
        return _within(int(text), -128, 127, "an attribute", text)
    names = {
        name: index for known in reversed(versions_of(class_id)) for index, (name, _) in enumerate(known.attributes, 1)
    }
    return _named(text, {"logical_name": 1, **names}, f"attribute of class {class_id} {class_name(class_id)}")


def parse_method(class_id: int, text: str) -> int:
    """A method's index from its number (-128 to 127) or its name, in any version of the class."""
    if _NUMBER.fullmatch(text):
        return _within(int(text), -128, 127, "a method", text)
    names = {name: index for known in reversed(versions_of(class_id)) for index, name in enumerate(known.methods, 1)}
    return _named(text, names, f"method of class {class_id} {class_name(class_id)}")


def _within(number: int, low: int, high: int, what: str, text: str) -> int:
    if not low <= number <= high:
        raise SettingsError(f"{text} is not {what}: {low} to {high}")
    return number


def _named(text: str, numbers: Mapping[str, int], what: str) -> int:
    """The number of this name, or of the only one that begins so."""
    wanted = _simplified(text)
    known = {_simplified(name): number for name, number in numbers.items()}
    if wanted in known:
        return known[wanted]
    found = {name: number for name, number in known.items() if wanted and name.startswith(wanted)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise SettingsError(f"{text!r} is not one {what}, but may be {', '.join(sorted(found))}")
    listed = ", ".join(f"{number} {name}" for name, number in sorted(known.items(), key=lambda one: one[1]))
    raise SettingsError(f"{text!r} is no {what}", remedy=f"known: {listed}" if known else "give its number")


def _simplified(name: str) -> str:
    return _NO_LETTERS.sub("-", name.lower()).strip("-")
