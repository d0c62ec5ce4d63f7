"""The interface classes of COSEM as data: names and shapes of attributes, names of methods, by class and version.

The one rule: what stands here is what the Blue Book calls it; what does not stand here can be read all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from profiles.classes import access, measurement, payment, setup, timing
from profiles.classes.shapes import CosemClass

CLASSES: Final[Mapping[tuple[int, int], CosemClass]] = MappingProxyType(
    {
        (entry.class_id, entry.version): entry
        for module in (measurement, timing, access, setup, payment)
        for entry in module.CLASSES
    }
)
"""By class id and version."""

_NEWEST: Final[Mapping[int, CosemClass]] = {
    entry.class_id: entry for entry in sorted(CLASSES.values(), key=lambda one: one.version)
}

_OTHER_NAMES: Final[Mapping[int, str]] = MappingProxyType(
    {
        12: "Association SN",
        24: "IEC twisted pair setup",
        25: "M-Bus slave port setup",
        26: "Utility tables",
        27: "Modem configuration",
        28: "Auto answer",
        30: "Data protection",
        43: "MAC address setup",
        61: "Register table",
        62: "Compact data",
        63: "Status mapping",
        65: "Parameter monitor",
        67: "Sensor manager",
        68: "Arbitrator",
        72: "M-Bus client",
        73: "Wireless mode Q channel",
        74: "M-Bus master port setup",
        116: "IEC 62055-41 attributes",
        122: "Function control",
        123: "Array manager",
        124: "Communication port protection",
        152: "CoAP setup",
        153: "CoAP diagnostic",
    }
)
"""Classes that are known by name only."""


def find_class(class_id: int, version: int | None = None) -> CosemClass | None:
    """The class in this version; its newest where the version is not known; None for one that does not stand here."""
    return _NEWEST.get(class_id) if version is None else CLASSES.get((class_id, version))


def class_name(class_id: int) -> str:
    """The Blue Book's name of a class; `class 8192` for one that is not known."""
    known = _NEWEST.get(class_id)
    return known.name if known is not None else _OTHER_NAMES.get(class_id, f"class {class_id}")


def class_names() -> dict[int, str]:
    """The Blue Book's name of every class that is known, be it by name only."""
    return {**_OTHER_NAMES, **{class_id: known.name for class_id, known in _NEWEST.items()}}


def versions_of(class_id: int) -> tuple[CosemClass, ...]:
    """The versions of a class that are known here, newest first."""
    return tuple(sorted((one for one in CLASSES.values() if one.class_id == class_id), key=lambda one: -one.version))


def attribute_name(class_id: int, attribute: int, version: int | None = None) -> str:
    """The name of an attribute; `attribute 14` for one that is not known."""
    known = find_class(class_id, version)
    entry = known.attribute(attribute) if known is not None else None
    return entry[0] if entry is not None else f"attribute {attribute}"


def method_name(class_id: int, method: int, version: int | None = None) -> str:
    """The name of a method; `method 3` for one that is not known."""
    known = find_class(class_id, version)
    return (known.method(method) if known is not None else None) or f"method {method}"
