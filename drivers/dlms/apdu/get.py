"""GET: one attribute, a list of them, and answers that come in blocks (Green Book, clause 9.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from drivers.dlms.apdu.fields import (
    DataResult,
    Readers,
    SelectedAttribute,
    data_result,
    descriptor,
    encode_list,
    encode_results,
    octets,
    optional,
    read_attribute,
    read_choice,
    read_last_data,
    read_last_result,
    read_list,
    read_result,
    read_selected,
    selected,
)
from drivers.dlms.axdr import Reader
from profiles.objects import AttributeRef


@dataclass(frozen=True, slots=True)
class GetRequestNormal:
    """GET of one attribute; `selection` is the access selector's octet and its parameters in A-XDR."""

    name: ClassVar[str] = "get-request-normal"

    invoke_id: int
    attribute: AttributeRef
    selection: bytes | None = None

    def encode(self) -> bytes:
        return bytes([0xC0, 1, self.invoke_id]) + descriptor(self.attribute) + optional(self.selection)


@dataclass(frozen=True, slots=True)
class GetRequestNext:
    """Asks for the block after `block`, which was received."""

    name: ClassVar[str] = "get-request-next"

    invoke_id: int
    block: int

    def encode(self) -> bytes:
        return bytes([0xC0, 2, self.invoke_id]) + self.block.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class GetRequestWithList:
    """GET of several attributes at once."""

    name: ClassVar[str] = "get-request-with-list"

    invoke_id: int
    attributes: tuple[SelectedAttribute, ...]

    def encode(self) -> bytes:
        return bytes([0xC0, 3, self.invoke_id]) + encode_list([selected(each) for each in self.attributes])


@dataclass(frozen=True, slots=True)
class GetResponseNormal:
    """The attribute's value in A-XDR, or a data-access-result: one of the two is None."""

    name: ClassVar[str] = "get-response-normal"

    invoke_id: int
    data: bytes | None = None
    error: int | None = None

    def encode(self) -> bytes:
        return bytes([0xC4, 1, self.invoke_id]) + data_result(self.data, self.error)


@dataclass(frozen=True, slots=True)
class GetResponseBlock:
    """A piece of the answer, or a data-access-result that ends the transfer: one of the two is None.

    The pieces join to A-XDR data, or to a list of results where a list was asked.
    """

    name: ClassVar[str] = "get-response-with-datablock"

    invoke_id: int
    last: bool
    block: int
    data: bytes | None = None
    error: int | None = None

    def encode(self) -> bytes:
        head = bytes([0xC4, 2, self.invoke_id, self.last]) + self.block.to_bytes(4, "big")
        return head + data_result(None if self.data is None else octets(self.data), self.error)


@dataclass(frozen=True, slots=True)
class GetResponseWithList:
    """One result for each attribute, in the order asked."""

    name: ClassVar[str] = "get-response-with-list"

    invoke_id: int
    results: tuple[DataResult, ...]

    def encode(self) -> bytes:
        return bytes([0xC4, 3, self.invoke_id]) + encode_results(self.results)


def _read_request(reader: Reader) -> GetRequestNormal:
    invoke_id, attribute = reader.octet(), read_attribute(reader)
    return GetRequestNormal(invoke_id, attribute, read_last_data(reader) if read_choice(reader) else None)


def _read_block(reader: Reader) -> GetResponseBlock:
    invoke_id, last, block = reader.octet(), bool(reader.octet()), reader.uint(4)
    if read_choice(reader):
        return GetResponseBlock(invoke_id, last, block, None, reader.octet())
    return GetResponseBlock(invoke_id, last, block, reader.octets())


GetApdu: TypeAlias = (
    GetRequestNormal | GetRequestNext | GetRequestWithList | GetResponseNormal | GetResponseBlock | GetResponseWithList
)

READERS: Final[Readers[GetApdu]] = {
    b"\xc0\x01": (GetRequestNormal.name, _read_request),
    b"\xc0\x02": (GetRequestNext.name, lambda reader: GetRequestNext(reader.octet(), reader.uint(4))),
    b"\xc0\x03": (
        GetRequestWithList.name,
        lambda reader: GetRequestWithList(reader.octet(), read_list(reader, read_selected)),
    ),
    b"\xc4\x01": (
        GetResponseNormal.name,
        lambda reader: GetResponseNormal(reader.octet(), *read_last_result(reader)),
    ),
    b"\xc4\x02": (GetResponseBlock.name, _read_block),
    b"\xc4\x03": (
        GetResponseWithList.name,
        lambda reader: GetResponseWithList(reader.octet(), read_list(reader, read_result)),
    ),
}
