"""SET: one attribute, a list of them, and requests that go in blocks (Green Book, clause 9.5).

What is written may be a secret: no repr here shows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias

from drivers.dlms.apdu.fields import (
    Readers,
    SelectedAttribute,
    block,
    descriptor,
    encode_list,
    optional,
    read_attribute,
    read_block,
    read_choice,
    read_last_data,
    read_list,
    read_selected,
    read_selection,
    selected,
)
from drivers.dlms.axdr import Reader
from profiles.objects import AttributeRef


@dataclass(frozen=True, slots=True)
class SetRequestNormal:
    """SET of one attribute to `data`, in A-XDR; `selection` as in GET."""

    name: ClassVar[str] = "set-request-normal"

    invoke_id: int
    attribute: AttributeRef
    data: bytes = field(repr=False)
    selection: bytes | None = None

    def encode(self) -> bytes:
        return bytes([0xC1, 1, self.invoke_id]) + descriptor(self.attribute) + optional(self.selection) + self.data


@dataclass(frozen=True, slots=True)
class SetRequestFirstBlock:
    """The first piece of the A-XDR data for one attribute."""

    name: ClassVar[str] = "set-request-with-first-datablock"

    invoke_id: int
    attribute: AttributeRef
    last: bool
    block: int
    data: bytes = field(repr=False)
    selection: bytes | None = None

    def encode(self) -> bytes:
        head = bytes([0xC1, 2, self.invoke_id]) + descriptor(self.attribute) + optional(self.selection)
        return head + block(self.last, self.block, self.data)


@dataclass(frozen=True, slots=True)
class SetRequestBlock:
    """A piece after the first."""

    name: ClassVar[str] = "set-request-with-datablock"

    invoke_id: int
    last: bool
    block: int
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        return bytes([0xC1, 3, self.invoke_id]) + block(self.last, self.block, self.data)


@dataclass(frozen=True, slots=True)
class SetRequestWithList:
    """SET of several attributes, `values` in their order."""

    name: ClassVar[str] = "set-request-with-list"

    invoke_id: int
    attributes: tuple[SelectedAttribute, ...]
    values: tuple[bytes, ...] = field(repr=False)

    def encode(self) -> bytes:
        attributes = encode_list([selected(each) for each in self.attributes])
        return bytes([0xC1, 4, self.invoke_id]) + attributes + encode_list(self.values)


@dataclass(frozen=True, slots=True)
class SetRequestWithListFirstBlock:
    """The first piece of the list of data for several attributes."""

    name: ClassVar[str] = "set-request-with-list-and-first-datablock"

    invoke_id: int
    attributes: tuple[SelectedAttribute, ...]
    last: bool
    block: int
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        attributes = encode_list([selected(each) for each in self.attributes])
        return bytes([0xC1, 5, self.invoke_id]) + attributes + block(self.last, self.block, self.data)


@dataclass(frozen=True, slots=True)
class SetResponseNormal:
    """A data-access-result, 0 for success."""

    name: ClassVar[str] = "set-response-normal"

    invoke_id: int
    result: int

    def encode(self) -> bytes:
        return bytes([0xC5, 1, self.invoke_id, self.result])


@dataclass(frozen=True, slots=True)
class SetResponseBlock:
    """Block `block` was received; more may come."""

    name: ClassVar[str] = "set-response-datablock"

    invoke_id: int
    block: int

    def encode(self) -> bytes:
        return bytes([0xC5, 2, self.invoke_id]) + self.block.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class SetResponseLastBlock:
    """The data-access-result of the whole, after its last block."""

    name: ClassVar[str] = "set-response-last-datablock"

    invoke_id: int
    result: int
    block: int

    def encode(self) -> bytes:
        return bytes([0xC5, 3, self.invoke_id, self.result]) + self.block.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class SetResponseLastBlockWithList:
    """A data-access-result for each attribute, after the last block."""

    name: ClassVar[str] = "set-response-last-datablock-with-list"

    invoke_id: int
    results: tuple[int, ...]
    block: int

    def encode(self) -> bytes:
        results = encode_list([bytes([result]) for result in self.results])
        return bytes([0xC5, 4, self.invoke_id]) + results + self.block.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class SetResponseWithList:
    """A data-access-result for each attribute."""

    name: ClassVar[str] = "set-response-with-list"

    invoke_id: int
    results: tuple[int, ...]

    def encode(self) -> bytes:
        return bytes([0xC5, 5, self.invoke_id]) + encode_list([bytes([result]) for result in self.results])


def _read_request(reader: Reader) -> SetRequestNormal:
    invoke_id, attribute = reader.octet(), read_attribute(reader)
    selection = read_selection(reader) if read_choice(reader) else None
    return SetRequestNormal(invoke_id, attribute, read_last_data(reader), selection)


def _read_first_block(reader: Reader) -> SetRequestFirstBlock:
    invoke_id, attribute = reader.octet(), read_attribute(reader)
    selection = read_selection(reader) if read_choice(reader) else None
    return SetRequestFirstBlock(invoke_id, attribute, *read_block(reader), selection)


def _read_with_list(reader: Reader) -> SetRequestWithList:
    invoke_id, attributes = reader.octet(), read_list(reader, read_selected)
    return SetRequestWithList(invoke_id, attributes, read_list(reader, Reader.datum))


def _read_with_list_first_block(reader: Reader) -> SetRequestWithListFirstBlock:
    invoke_id, attributes = reader.octet(), read_list(reader, read_selected)
    return SetRequestWithListFirstBlock(invoke_id, attributes, *read_block(reader))


def _read_results(reader: Reader) -> tuple[int, ...]:
    return read_list(reader, lambda each: each.octet())


SetApdu: TypeAlias = (
    SetRequestNormal
    | SetRequestFirstBlock
    | SetRequestBlock
    | SetRequestWithList
    | SetRequestWithListFirstBlock
    | SetResponseNormal
    | SetResponseBlock
    | SetResponseLastBlock
    | SetResponseLastBlockWithList
    | SetResponseWithList
)

READERS: Final[Readers[SetApdu]] = {
    b"\xc1\x01": (SetRequestNormal.name, _read_request),
    b"\xc1\x02": (SetRequestFirstBlock.name, _read_first_block),
    b"\xc1\x03": (SetRequestBlock.name, lambda reader: SetRequestBlock(reader.octet(), *read_block(reader))),
    b"\xc1\x04": (SetRequestWithList.name, _read_with_list),
    b"\xc1\x05": (SetRequestWithListFirstBlock.name, _read_with_list_first_block),
    b"\xc5\x01": (SetResponseNormal.name, lambda reader: SetResponseNormal(reader.octet(), reader.octet())),
    b"\xc5\x02": (SetResponseBlock.name, lambda reader: SetResponseBlock(reader.octet(), reader.uint(4))),
    b"\xc5\x03": (
        SetResponseLastBlock.name,
        lambda reader: SetResponseLastBlock(reader.octet(), reader.octet(), reader.uint(4)),
    ),
    b"\xc5\x04": (
        SetResponseLastBlockWithList.name,
        lambda reader: SetResponseLastBlockWithList(reader.octet(), _read_results(reader), reader.uint(4)),
    ),
    b"\xc5\x05": (
        SetResponseWithList.name,
        lambda reader: SetResponseWithList(reader.octet(), _read_results(reader)),
    ),
}
