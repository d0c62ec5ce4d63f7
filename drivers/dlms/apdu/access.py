"""ACCESS: reads, writes and methods of many objects in one request (Green Book, clause 9.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple, TypeAlias

from drivers.dlms.apdu.fields import (
    Readers,
    descriptor,
    encode_list,
    octets,
    read_attribute,
    read_choice,
    read_date_time,
    read_list,
    read_method,
    read_selection,
)
from drivers.dlms.axdr import Reader
from profiles.errors import ProtocolError
from profiles.objects import AttributeRef, MethodRef

GET: Final = 1
SET: Final = 2
ACTION: Final = 3
_GET_WITH_SELECTION: Final = 4
_SET_WITH_SELECTION: Final = 5


@dataclass(frozen=True, slots=True)
class AccessGet:
    """Reads an attribute; its place in the request's data holds null-data."""

    attribute: AttributeRef
    selection: bytes | None = None

    def encode(self) -> bytes:
        choice = GET if self.selection is None else _GET_WITH_SELECTION
        return bytes([choice]) + descriptor(self.attribute) + (self.selection or b"")


@dataclass(frozen=True, slots=True)
class AccessSet:
    """Writes an attribute with the data at its place."""

    attribute: AttributeRef
    selection: bytes | None = None

    def encode(self) -> bytes:
        choice = SET if self.selection is None else _SET_WITH_SELECTION
        return bytes([choice]) + descriptor(self.attribute) + (self.selection or b"")


@dataclass(frozen=True, slots=True)
class AccessAction:
    """Invokes a method with the data at its place."""

    method: MethodRef

    def encode(self) -> bytes:
        return bytes([ACTION]) + descriptor(self.method)


AccessSpecification: TypeAlias = AccessGet | AccessSet | AccessAction


class AccessResult(NamedTuple):
    """`kind` is GET, SET or ACTION; `result` a data-access-result, for ACTION an action-result."""

    kind: int
    result: int


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """`data` has one datum in A-XDR for each specification; `date_time` 12 octets, or none.

    `invoke_id` is the whole long-invoke-id-and-priority, 32 bits.
    """

    name: ClassVar[str] = "access-request"

    invoke_id: int
    specifications: tuple[AccessSpecification, ...]
    data: tuple[bytes, ...] = field(repr=False)
    date_time: bytes = b""

    def encode(self) -> bytes:
        return b"".join(
            (
                b"\xd9",
                self.invoke_id.to_bytes(4, "big"),
                octets(self.date_time),
                encode_list([specification.encode() for specification in self.specifications]),
                encode_list(self.data),
            )
        )


@dataclass(frozen=True, slots=True)
class AccessResponse:
    """One datum (null-data where nothing is returned) and one result for each specification of the request.

    `specifications` repeats those of the request, where the meter was asked to.
    """

    name: ClassVar[str] = "access-response"

    invoke_id: int
    data: tuple[bytes, ...]
    results: tuple[AccessResult, ...]
    specifications: tuple[AccessSpecification, ...] | None = None
    date_time: bytes = b""

    def encode(self) -> bytes:
        repeated = self.specifications
        return b"".join(
            (
                b"\xda",
                self.invoke_id.to_bytes(4, "big"),
                octets(self.date_time),
                b"\x00" if repeated is None else b"\x01" + encode_list([each.encode() for each in repeated]),
                encode_list(self.data),
                encode_list([bytes(result) for result in self.results]),
            )
        )


def _read_specification(reader: Reader) -> AccessSpecification:
    choice = reader.octet()
    if choice == ACTION:
        return AccessAction(read_method(reader))
    if choice in (GET, _GET_WITH_SELECTION):
        return AccessGet(read_attribute(reader), read_selection(reader) if choice == _GET_WITH_SELECTION else None)
    if choice in (SET, _SET_WITH_SELECTION):
        return AccessSet(read_attribute(reader), read_selection(reader) if choice == _SET_WITH_SELECTION else None)
    raise ProtocolError(f"{reader.what}: an access of kind {choice} at octet {reader.offset - 1}")


def _read_result(reader: Reader) -> AccessResult:
    kind = reader.octet()
    if kind not in (GET, SET, ACTION):
        raise ProtocolError(f"{reader.what}: a result of kind {kind} at octet {reader.offset - 1}")
    return AccessResult(kind, reader.octet())


def _read_request(reader: Reader) -> AccessRequest:
    invoke_id, date_time = reader.uint(4), read_date_time(reader)
    specifications = read_list(reader, _read_specification)
    return AccessRequest(invoke_id, specifications, read_list(reader, Reader.datum), date_time)


def _read_response(reader: Reader) -> AccessResponse:
    invoke_id, date_time = reader.uint(4), read_date_time(reader)
    specifications = read_list(reader, _read_specification) if read_choice(reader) else None
    data = read_list(reader, Reader.datum)
    return AccessResponse(invoke_id, data, read_list(reader, _read_result), specifications, date_time)


AccessApdu: TypeAlias = AccessRequest | AccessResponse

READERS: Final[Readers[AccessApdu]] = {
    b"\xd9": (AccessRequest.name, _read_request),
    b"\xda": (AccessResponse.name, _read_response),
}
