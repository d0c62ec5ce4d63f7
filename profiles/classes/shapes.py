"""What an attribute's value looks like: the small language in which the interface classes are written down.

The one rule: a shape is data. `drivers.cosem.attributes` is the one reader of all of them; it checks a received value
against the shape and gives it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, TypeAlias

from profiles.moments import DateTime
from profiles.objects import CaptureObject, Obis, ScalerUnit


class Scalar(Enum):
    """A value without parts, by what it means rather than by its A-XDR type: makers differ in the latter."""

    ANY = auto()
    """Whatever the meter sends, untouched."""
    INTEGER = auto()
    """A whole number of any width."""
    BOOLEAN = auto()
    BITS = auto()
    """A bit-string; its bits as text."""
    OCTETS = auto()
    TEXT = auto()
    """Text in any kind of string; octets where it does not read as text."""
    LOGICAL_NAME = auto()
    DATE_TIME = auto()
    DATE = auto()
    TIME = auto()
    OBJECT_IDENTIFIER = auto()
    """An OID, as the octets of its encoding or as a structure of its numbers."""
    IPV4 = auto()
    IPV6 = auto()
    NULL = auto()
    """null-data, for a value that may be left out."""
    SECRET = auto()
    """A password or PIN in any form: never shown."""


@dataclass(frozen=True, slots=True)
class Enumeration:
    """An enum; a number without a name is no error."""

    names: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Flags:
    """Bits with a meaning each, bit 0 first: the first bit of a bit-string, the lowest of a number."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Array:
    """Any number of items of one shape."""

    item: Shape


@dataclass(frozen=True, slots=True)
class Record:
    """A structure of exactly these fields; `make` turns them, by name, into a value of its own type."""

    fields: Mapping[str, Shape]
    make: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """The first of these shapes that fits."""

    shapes: tuple[Shape, ...]


Shape: TypeAlias = Scalar | Enumeration | Flags | Array | Record | OneOf


@dataclass(frozen=True, slots=True)
class CosemClass:
    """One version of an interface class.

    `attributes` and `methods` count from 1; attribute 1 is the logical name of every class.
    """

    class_id: int
    version: int
    name: str
    attributes: tuple[tuple[str, Shape], ...]
    methods: tuple[str, ...] = ()
    indices: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """Attribute index by name, in lower case."""

    def __post_init__(self) -> None:
        indices = {name.lower(): index for index, (name, _) in enumerate(self.attributes, 1)}
        object.__setattr__(self, "indices", MappingProxyType(indices))

    def attribute(self, index: int) -> tuple[str, Shape] | None:
        """Name and shape of an attribute; None where this version has no such."""
        return self.attributes[index - 1] if 1 <= index <= len(self.attributes) else None

    def method(self, index: int) -> str | None:
        """Name of a method; None where this version has no such."""
        return self.methods[index - 1] if 1 <= index <= len(self.methods) else None


def cosem_class(
    class_id: int, versions: int | tuple[int, ...], name: str, attributes: Mapping[str, Shape], methods: str = ""
) -> list[CosemClass]:
    """The versions of a class that share attributes (all but the logical name) and methods (names, by blanks)."""
    with_name = (("logical_name", Scalar.LOGICAL_NAME), *attributes.items())
    every = (versions,) if isinstance(versions, int) else versions
    return [CosemClass(class_id, version, name, with_name, tuple(methods.split())) for version in every]


def numbered(*names: str, start: int = 0) -> Enumeration:
    """An enumeration that counts on from `start`."""
    return Enumeration(MappingProxyType(dict(enumerate(names, start))))


def nullable(shape: Shape) -> OneOf:
    """The shape, or null-data."""
    return OneOf((Scalar.NULL, shape))


# --- shapes that several classes share ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScriptReference:
    """Which script of which script table runs (action_item)."""

    script_logical_name: Obis
    script_selector: int


@dataclass(frozen=True, slots=True)
class ValueReference:
    """An attribute of an object (value_definition)."""

    class_id: int
    logical_name: Obis
    attribute_index: int


SCALER_UNIT = Record({"scaler": Scalar.INTEGER, "unit": Scalar.INTEGER}, ScalerUnit)
CAPTURE_OBJECT = Record(
    {
        "class_id": Scalar.INTEGER,
        "obis": Scalar.LOGICAL_NAME,
        "attribute": Scalar.INTEGER,
        "data_index": Scalar.INTEGER,
    },
    CaptureObject,
)
SCRIPT_REFERENCE = Record(
    {"script_logical_name": Scalar.LOGICAL_NAME, "script_selector": Scalar.INTEGER}, ScriptReference
)
VALUE_REFERENCE = Record(
    {"class_id": Scalar.INTEGER, "logical_name": Scalar.LOGICAL_NAME, "attribute_index": Scalar.INTEGER}, ValueReference
)


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when calls or pushes may go out."""

    start_time: DateTime | None
    end_time: DateTime | None


WINDOWS = Array(Record({"start_time": Scalar.DATE_TIME, "end_time": Scalar.DATE_TIME}, Window))
