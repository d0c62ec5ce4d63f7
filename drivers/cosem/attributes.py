"""Attributes by name: the one reader of every shape in `profiles.classes`.

The one rule: nothing that a meter says is lost for want of a name. An attribute of an unknown class, version or index,
or one whose value has another shape than the Blue Book gives it, is still read: as the plain A-XDR value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, NamedTuple, TypeAlias

from drivers.dlms import axdr
from drivers.dlms.security import Secret
from profiles.classes import find_class
from profiles.classes.shapes import Array, Enumeration, Flags, OneOf, Record, Scalar, Shape
from profiles.errors import ProtocolError
from profiles.moments import Date, DateTime, Time
from profiles.objects import AttributeRef, Obis


class EnumValue(NamedTuple):
    """A number of an enumeration, and its name; the name is empty where the standard gives it none."""

    number: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.number})" if self.name else str(self.number)


Meaning: TypeAlias = Any
"""What a shape is read as: int, bool, str, bytes, Obis, DateTime, Date, Time, IPv4Address, IPv6Address, Secret,
EnumValue, a tuple (array, names of flags), a dict or the record's own type, None; for `Scalar.ANY` the A-XDR value
itself."""


@dataclass(frozen=True, slots=True)
class AttributeValue:
    """An attribute as a meter gave it.

    `name` is the Blue Book's, or `attribute 14`. `as_declared` tells whether the value has the declared shape; if not,
    or if no shape is known, `value` is the plain A-XDR value.
    """

    name: str
    value: Meaning
    as_declared: bool


def read_value(reference: AttributeRef, data: bytes, version: int | None = None) -> AttributeValue:
    """What the A-XDR octets of an attribute mean; ProtocolError only where they are no A-XDR.

    Without a version the newest one of the class that is known here counts.
    """
    value = axdr.decode(data)
    declared = _declared(reference, version)
    if declared is None:
        return AttributeValue(f"attribute {reference.attribute}", value, False)
    name, shape = declared
    if value is None:
        return AttributeValue(name, None, True)
    try:
        return AttributeValue(name, interpret(shape, value), True)
    except ProtocolError:
        return AttributeValue(name, value, False)


def _declared(reference: AttributeRef, version: int | None) -> tuple[str, Shape] | None:
    if reference.attribute == 1:
        return "logical_name", Scalar.LOGICAL_NAME
    known = find_class(reference.class_id, version)
    if known is not None:
        return known.attribute(reference.attribute)
    # A version that is not known has its secrets, if any, where the newest known one has them.
    newest = find_class(reference.class_id)
    declared = newest.attribute(reference.attribute) if newest is not None else None
    return declared if declared is not None and declared[1] is Scalar.SECRET else None


def interpret(shape: Shape, value: Any) -> Meaning:
    """A decoded A-XDR value by its shape; ProtocolError, which shows nothing of the value, where it has another."""
    match shape:
        case Scalar():
            return _SCALARS[shape](value)
        case Enumeration(names):
            number = _integer(value)
            return EnumValue(number, names.get(number, ""))
        case Flags(names):
            return _flags(names, value)
        case Array(item):
            return tuple(interpret(item, one) for one in _items(value))
        case Record(fields, make):
            return _record(fields, make, value)
        case OneOf(shapes):
            return _one_of(shapes, value)


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _misfit(f"an array expected, {_kind(value)} received")
    return value


def _record(fields: Mapping[str, Shape], make: Any, value: Any) -> Meaning:
    if not isinstance(value, axdr.Structure) or len(value) != len(fields):
        raise _misfit(f"a structure of {len(fields)} expected, {_kind(value)} received")
    read: dict[str, Meaning] = {}
    for (name, shape), part in zip(fields.items(), value, strict=True):
        try:
            read[name] = interpret(shape, part)
        except ProtocolError as misfit:
            raise _misfit(f"{name}: {misfit.message}") from None
    return read if make is None else make(**read)


def _one_of(shapes: tuple[Shape, ...], value: Any) -> Meaning:
    misfits = []
    for shape in shapes:
        try:
            return interpret(shape, value)
        except ProtocolError as misfit:
            misfits.append(misfit.message)
    raise _misfit("; ".join(misfits))


def _flags(names: tuple[str, ...], value: Any) -> tuple[str, ...]:
    if isinstance(value, axdr.BitString):
        set_bits = [bit for bit, digit in enumerate(value.bits) if digit == "1"]
    else:
        number = _integer(value)
        if number < 0:
            raise _misfit("a number of bits is negative")
        set_bits = [bit for bit in range(number.bit_length()) if number >> bit & 1]
    return tuple(names[bit] if bit < len(names) else f"bit {bit}" for bit in set_bits)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _misfit(f"a whole number expected, {_kind(value)} received")
    return int(value)


def _boolean(value: Any) -> bool:
    # Some meters send 0 and 1 as unsigned.
    if not isinstance(value, int) or value not in (0, 1):
        raise _misfit(f"a boolean expected, {_kind(value)} received")
    return bool(value)


def _bits(value: Any) -> str:
    if not isinstance(value, axdr.BitString):
        raise _misfit(f"a bit-string expected, {_kind(value)} received")
    return value.bits


def _octets(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise _misfit(f"an octet-string expected, {_kind(value)} received")
    return value


def _text(value: Any) -> str | bytes:
    if isinstance(value, str):
        return value
    octets = _octets(value)
    try:
        text = octets.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return octets
    return text if text.isprintable() else octets


def _logical_name(value: Any) -> Obis:
    octets = _octets(value)
    if len(octets) != 6:
        raise _misfit(f"a logical name has 6 octets, not {len(octets)}")
    return Obis.of(octets)


def _moment(kind: type[DateTime] | type[Date] | type[Time], value: Any) -> DateTime | Date | Time | None:
    octets = _octets(value)
    if not octets:
        return None  # how many meters say "never"
    try:
        return kind(octets)
    except ValueError as error:
        raise _misfit(str(error)) from None


def _object_identifier(value: Any) -> str:
    """Dotted numbers. The first octet of an encoded OID holds its first two numbers (X.690, 8.19)."""
    if isinstance(value, axdr.Structure):
        return ".".join(str(_integer(part)) for part in value)
    octets = _octets(value)
    if not octets or octets[-1] & 0x80:
        raise _misfit("no object identifier")
    numbers = [0]
    for octet in octets:
        numbers[-1] = numbers[-1] << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(0)
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:-1])))


def _ipv4(value: Any) -> IPv4Address | None:
    if isinstance(value, bytes) and len(value) in (0, 4):
        return IPv4Address(value) if value else None
    number = _integer(value)
    if not 0 <= number <= 0xFFFF_FFFF:
        raise _misfit("no IPv4 address")
    return IPv4Address(number)


def _ipv6(value: Any) -> IPv6Address | None:
    octets = _octets(value)
    if len(octets) not in (0, 16):
        raise _misfit(f"an IPv6 address has 16 octets, not {len(octets)}")
    return IPv6Address(octets) if octets else None


def _null(value: Any) -> None:
    if value is not None:
        raise _misfit(f"null-data expected, {_kind(value)} received")


def _secret(value: Any) -> Secret:
    """Any value at all: what does not look like a secret may be one in a form of the maker's own."""
    return Secret(value if isinstance(value, bytes) else str(value).encode())


_SCALARS: Final = {
    Scalar.ANY: lambda value: value,
    Scalar.INTEGER: _integer,
    Scalar.BOOLEAN: _boolean,
    Scalar.BITS: _bits,
    Scalar.OCTETS: _octets,
    Scalar.TEXT: _text,
    Scalar.LOGICAL_NAME: _logical_name,
    Scalar.DATE_TIME: lambda value: _moment(DateTime, value),
    Scalar.DATE: lambda value: _moment(Date, value),
    Scalar.TIME: lambda value: _moment(Time, value),
    Scalar.OBJECT_IDENTIFIER: _object_identifier,
    Scalar.IPV4: _ipv4,
    Scalar.IPV6: _ipv6,
    Scalar.NULL: _null,
    Scalar.SECRET: _secret,
}


def _kind(value: Any) -> str:
    """What a value is, without saying what it holds."""
    match value:
        case None:
            return "null-data"
        case axdr.Structure():
            return f"a structure of {len(value)}"
        case list():
            return f"an array of {len(value)}"
        case bytes():
            return f"{len(value)} octets"
        case _:
            return type(value).__name__.lower()


def _misfit(text: str) -> ProtocolError:
    return ProtocolError(text, retry=False)
