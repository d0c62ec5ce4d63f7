"""What xDLMS APDUs are made of: descriptors, results, lists, date-times (Green Book, clause 9.5), both ways.

COSEM data stays encoded here. Where more follows a datum, its end is found by the bounded A-XDR decoder; a count is
checked against the octets received before a list is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from drivers.dlms import axdr
from drivers.dlms.axdr import Reader
from profiles.errors import ProtocolError
from profiles.objects import AttributeRef, MethodRef, Obis

MAX_LIST: Final = 0xFFFF
"""The longest list of references or results that is accepted; an APDU of 65 535 octets cannot hold as many."""

_Item = TypeVar("_Item")

Readers: TypeAlias = Mapping[bytes, tuple[str, Callable[[Reader], _Item]]]
"""The first octet or two of an APDU: its name, and the reader of what follows them."""


@dataclass(frozen=True, slots=True)
class SelectedAttribute:
    """One attribute of a list; `selection` is the access selector's octet and its parameters in A-XDR."""

    attribute: AttributeRef
    selection: bytes | None = None


@dataclass(frozen=True, slots=True)
class DataResult:
    """Get-Data-Result: the value in A-XDR, or a data-access-result; one of the two is None."""

    data: bytes | None = None
    error: int | None = None


@dataclass(frozen=True, slots=True)
class ActionResult:
    """An action-result, and what the method returned: A-XDR data, or a data-access-result, or neither."""

    result: int
    data: bytes | None = None
    error: int | None = None


# --- encoding -------------------------------------------------------------------------------------------------


def octets(value: bytes) -> bytes:
    """An octet string: its length, then itself."""
    return axdr.length(len(value)) + value


def encode_list(items: Sequence[bytes]) -> bytes:
    """SEQUENCE OF: how many, then all of them."""
    return axdr.length(len(items)) + b"".join(items)


def descriptor(reference: AttributeRef | MethodRef) -> bytes:
    """Class id, logical name, and the index of the attribute or method."""
    class_id, obis, index = reference
    return class_id.to_bytes(2, "big") + bytes(obis) + index.to_bytes(1, "big", signed=True)


def optional(value: bytes | None) -> bytes:
    """Whether it is there, and it."""
    return b"\x00" if value is None else b"\x01" + value


def selected(attribute: SelectedAttribute) -> bytes:
    """Cosem-Attribute-Descriptor-With-Selection."""
    return descriptor(attribute.attribute) + optional(attribute.selection)


def block(last: bool, number: int, data: bytes) -> bytes:
    """DataBlock-SA: the last one?, its number, the piece."""
    return bytes([last]) + number.to_bytes(4, "big") + octets(data)


def data_result(data: bytes | None, error: int | None) -> bytes:
    """Get-Data-Result: data [0] or data-access-result [1]; ValueError unless it is one of the two."""
    if data is not None and error is None:
        return b"\x00" + data
    if error is not None and data is None:
        return bytes([1, error])
    raise ValueError("a result is data or an error, one of the two")


def action_result(result: int, data: bytes | None, error: int | None) -> bytes:
    """Action-Response-With-Optional-Data."""
    return bytes([result]) + (b"\x00" if data is None and error is None else b"\x01" + data_result(data, error))


# --- decoding -------------------------------------------------------------------------------------------------


def read_choice(reader: Reader) -> bool:
    """A presence or choice octet, 0 or 1."""
    octet = reader.octet()
    if octet > 1:
        raise ProtocolError(f"{reader.what}: {octet} at octet {reader.offset - 1}, where 0 or 1 has to stand")
    return bool(octet)


def read_list(reader: Reader, item: Callable[[Reader], _Item]) -> tuple[_Item, ...]:
    """SEQUENCE OF; at most MAX_LIST, and no more than octets follow."""
    count = reader.length()
    if count > MAX_LIST:
        raise ProtocolError(f"{reader.what}: a list of {count} at octet {reader.offset}, more than {MAX_LIST}")
    return tuple(item(reader) for _ in range(count))


def read_attribute(reader: Reader) -> AttributeRef:
    return AttributeRef(reader.uint(2), Obis.of(reader.take(6)), reader.int8())


def read_method(reader: Reader) -> MethodRef:
    return MethodRef(reader.uint(2), Obis.of(reader.take(6)), reader.int8())


def read_selection(reader: Reader) -> bytes:
    """An access selector's octet and its parameters; more follows."""
    return reader.take(1) + reader.datum()


def read_selected(reader: Reader) -> SelectedAttribute:
    """Cosem-Attribute-Descriptor-With-Selection; more follows."""
    attribute = read_attribute(reader)
    return SelectedAttribute(attribute, read_selection(reader) if read_choice(reader) else None)


def read_last_data(reader: Reader) -> bytes:
    """COSEM data that ends the APDU: at least its tag."""
    if not reader.left:
        raise ProtocolError(f"{reader.what}: ends where data should begin")
    return reader.rest()


def read_last_result(reader: Reader) -> tuple[bytes | None, int | None]:
    """Get-Data-Result that ends the APDU: data and error, one of them None."""
    if read_choice(reader):
        return None, reader.octet()
    return read_last_data(reader), None


def read_block(reader: Reader) -> tuple[bool, int, bytes]:
    """DataBlock-SA."""
    return bool(reader.octet()), reader.uint(4), reader.octets()


def read_result(reader: Reader) -> DataResult:
    """Get-Data-Result; more follows."""
    return DataResult(None, reader.octet()) if read_choice(reader) else DataResult(reader.datum())


def read_action_result(reader: Reader) -> ActionResult:
    """Action-Response-With-Optional-Data; more follows."""
    result = reader.octet()
    returned = read_result(reader) if read_choice(reader) else DataResult()
    return ActionResult(result, returned.data, returned.error)


def read_date_time(reader: Reader) -> bytes:
    """An OCTET STRING that holds a date-time: 12 octets, or none."""
    stamp = reader.octets()
    if len(stamp) not in (0, 12):
        raise ProtocolError(f"{reader.what}: a date-time of {len(stamp)} octets, not 12")
    return stamp


# --- lists that came in blocks --------------------------------------------------------------------------------


def _whole(data: bytes, what: str, item: Callable[[Reader], _Item]) -> tuple[_Item, ...]:
    reader = Reader(data, what)
    items = read_list(reader, item)
    reader.end()
    return items


def decode_values(data: bytes) -> tuple[bytes, ...]:
    """The list of data (SEQUENCE OF Data) that the blocks of a SET or ACTION request with a list join to."""
    return _whole(data, "list of data", Reader.datum)


def decode_results(data: bytes) -> tuple[DataResult, ...]:
    """The results that the blocks of an answer to a GET with a list join to."""
    return _whole(data, "list of results", read_result)


def decode_action_results(data: bytes) -> tuple[ActionResult, ...]:
    """The results that the blocks of an answer to an ACTION with a list join to."""
    return _whole(data, "list of action results", read_action_result)


def encode_results(results: Sequence[DataResult]) -> bytes:
    """What `decode_results` reads."""
    return encode_list([data_result(result.data, result.error) for result in results])


def encode_action_results(results: Sequence[ActionResult]) -> bytes:
    """What `decode_action_results` reads."""
    return encode_list([action_result(result.result, result.data, result.error) for result in results])
