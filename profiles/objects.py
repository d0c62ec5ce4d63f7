"""COSEM objects by reference: OBIS codes, attributes, methods, capture objects, scalers.

`Obis` is ours rather than dlms-cosem's, whose class is mutable, cannot be a dictionary key and drops the
sixth value group of a string.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_OBIS = re.compile(r"(\d{1,3})[-.](\d{1,3})[:.](\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:[.*](\d{1,3}))?", re.ASCII)


class Obis(NamedTuple):
    """A logical name: value groups A to F, 0..255 each (IEC 62056-6-1)."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int = 255

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, text: str) -> Obis:
        """From `1.0.99.1.0.255`, `1.0.99.1.0` or `1-0:99.1.0*255`; ValueError on anything else."""
        match = _OBIS.fullmatch(text.strip())
        groups = [int(group) for group in match.groups("255")] if match else []
        if not groups or max(groups) > 255:
            raise ValueError(f"{text!r} is not an OBIS code such as 1.0.99.1.0.255")
        return cls(*groups)

    @classmethod
    def of(cls, octets: bytes) -> Obis:
        """From its six octets; ValueError on another length."""
        if len(octets) != 6:
            raise ValueError(f"an OBIS code has 6 octets, not {len(octets)}")
        return cls(*octets)

    def __str__(self) -> str:
        return ".".join(map(str, self))


class AttributeRef(NamedTuple):
    """An attribute of an object: class id, logical name, attribute index (1..127, negative: maker's own)."""

    class_id: int
    obis: Obis
    attribute: int

    def __str__(self) -> str:
        return f"{self.class_id}/{self.obis}/{self.attribute}"


class MethodRef(NamedTuple):
    """A method of an object: class id, logical name, method index."""

    class_id: int
    obis: Obis
    method: int

    def __str__(self) -> str:
        return f"{self.class_id}/{self.obis}/method {self.method}"


class CaptureObject(NamedTuple):
    """One column of a profile: capture_object_definition (Blue Book, Profile generic, attribute 3)."""

    class_id: int
    obis: Obis
    attribute: int
    data_index: int = 0

    @property
    def is_date_time(self) -> bool:
        """Whether it is the time of a clock, or that of an extended register's value, by its class."""
        return (self.class_id, self.attribute) in ((8, 2), (4, 5))

    def __str__(self) -> str:
        return f"{self.class_id}/{self.obis}/{self.attribute}"


@dataclass(frozen=True, slots=True)
class ScalerUnit:
    """scaler_unit: the value is the raw number times ten to the power of `scaler`, in `unit` (Blue Book enum)."""

    scaler: int
    unit: int
