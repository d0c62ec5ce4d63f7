"""ACTION: one method, a list of them, blocks both ways (Green Book, clause 9.5).

Parameters may be a secret (keys, challenges): no repr of a request shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias

from drivers.dlms.apdu.fields import (
    ActionResult,
    Readers,
    action_result,
    block,
    descriptor,
    encode_action_results,
    encode_list,
    optional,
    read_action_result,
    read_block,
    read_choice,
    read_last_data,
    read_last_result,
    read_list,
    read_method,
)
from drivers.dlms.axdr import Reader
from profiles.objects import MethodRef


@dataclass(frozen=True, slots=True)
class ActionRequestNormal:
    """ACTION of one method; `parameters` in A-XDR."""

    name: ClassVar[str] = "action-request-normal"

    invoke_id: int
    method: MethodRef
    parameters: bytes | None = field(default=None, repr=False)

    def encode(self) -> bytes:
        return bytes([0xC3, 1, self.invoke_id]) + descriptor(self.method) + optional(self.parameters)


@dataclass(frozen=True, slots=True)
class ActionRequestNextBlock:
    """Asks for the block after `block` of the answer, which was received."""

    name: ClassVar[str] = "action-request-next-pblock"

    invoke_id: int
    block: int

    def encode(self) -> bytes:
        return bytes([0xC3, 2, self.invoke_id]) + self.block.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class ActionRequestWithList:
    """ACTION of several methods, `parameters` in their order (null-data where a method has none)."""

    name: ClassVar[str] = "action-request-with-list"

    invoke_id: int
    methods: tuple[MethodRef, ...]
    parameters: tuple[bytes, ...] = field(repr=False)

    def encode(self) -> bytes:
        methods = encode_list([descriptor(method) for method in self.methods])
        return bytes([0xC3, 3, self.invoke_id]) + methods + encode_list(self.parameters)


@dataclass(frozen=True, slots=True)
class ActionRequestFirstBlock:
    """The first piece of one method's parameters."""

    name: ClassVar[str] = "action-request-with-first-pblock"

    invoke_id: int
    method: MethodRef
    last: bool
    block: int
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        return bytes([0xC3, 4, self.invoke_id]) + descriptor(self.method) + block(self.last, self.block, self.data)


@dataclass(frozen=True, slots=True)
class ActionRequestWithListFirstBlock:
    """The first piece of the list of parameters of several methods."""

    name: ClassVar[str] = "action-request-with-list-and-first-pblock"

    invoke_id: int
    methods: tuple[MethodRef, ...]
    last: bool
    block: int
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        methods = encode_list([descriptor(method) for method in self.methods])
        return bytes([0xC3, 5, self.invoke_id]) + methods + block(self.last, self.block, self.data)


@dataclass(frozen=True, slots=True)
class ActionRequestBlock:
    """A piece of the parameters after the first."""

    name: ClassVar[str] = "action-request-with-pblock"

    invoke_id: int
    last: bool
    block: int
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        return bytes([0xC3, 6, self.invoke_id]) + block(self.last, self.block, self.data)


@dataclass(frozen=True, slots=True)
class ActionResponseNormal:
    """An action-result, and what the method returned: A-XDR data, or a data-access-result, or neither."""

    name: ClassVar[str] = "action-response-normal"

    invoke_id: int
    result: int
    data: bytes | None = None
    error: int | None = None

    def encode(self) -> bytes:
        return bytes([0xC7, 1, self.invoke_id]) + action_result(self.result, self.data, self.error)


@dataclass(frozen=True, slots=True)
class ActionResponseBlock:
    """A piece of the answer."""

    name: ClassVar[str] = "action-response-with-pblock"

    invoke_id: int
    last: bool
    block: int
    data: bytes

    def encode(self) -> bytes:
        return bytes([0xC7, 2, self.invoke_id]) + block(self.last, self.block, self.data)


@dataclass(frozen=True, slots=True)
class ActionResponseWithList:
    """One result for each method, in the order asked."""

    name: ClassVar[str] = "action-response-with-list"

    invoke_id: int
    results: tuple[ActionResult, ...]

    def encode(self) -> bytes:
        return bytes([0xC7, 3, self.invoke_id]) + encode_action_results(self.results)


@dataclass(frozen=True, slots=True)
class ActionResponseNextBlock:
    """Block `block` of the request was received; asks for the next."""

    name: ClassVar[str] = "action-response-next-pblock"

    invoke_id: int
    block: int

    def encode(self) -> bytes:
        return bytes([0xC7, 4, self.invoke_id]) + self.block.to_bytes(4, "big")


def _read_request(reader: Reader) -> ActionRequestNormal:
    invoke_id, method = reader.octet(), read_method(reader)
    return ActionRequestNormal(invoke_id, method, read_last_data(reader) if read_choice(reader) else None)


def _read_with_list(reader: Reader) -> ActionRequestWithList:
    invoke_id, methods = reader.octet(), read_list(reader, read_method)
    return ActionRequestWithList(invoke_id, methods, read_list(reader, Reader.datum))


def _read_first_block(reader: Reader) -> ActionRequestFirstBlock:
    return ActionRequestFirstBlock(reader.octet(), read_method(reader), *read_block(reader))


def _read_with_list_first_block(reader: Reader) -> ActionRequestWithListFirstBlock:
    invoke_id, methods = reader.octet(), read_list(reader, read_method)
    return ActionRequestWithListFirstBlock(invoke_id, methods, *read_block(reader))


def _read_response(reader: Reader) -> ActionResponseNormal:
    invoke_id, result = reader.octet(), reader.octet()
    data, error = read_last_result(reader) if read_choice(reader) else (None, None)
    return ActionResponseNormal(invoke_id, result, data, error)


ActionApdu: TypeAlias = (
    ActionRequestNormal
    | ActionRequestNextBlock
    | ActionRequestWithList
    | ActionRequestFirstBlock
    | ActionRequestWithListFirstBlock
    | ActionRequestBlock
    | ActionResponseNormal
    | ActionResponseBlock
    | ActionResponseWithList
    | ActionResponseNextBlock
)

READERS: Final[Readers[ActionApdu]] = {
    b"\xc3\x01": (ActionRequestNormal.name, _read_request),
    b"\xc3\x02": (ActionRequestNextBlock.name, lambda reader: ActionRequestNextBlock(reader.octet(), reader.uint(4))),
    b"\xc3\x03": (ActionRequestWithList.name, _read_with_list),
    b"\xc3\x04": (ActionRequestFirstBlock.name, _read_first_block),
    b"\xc3\x05": (ActionRequestWithListFirstBlock.name, _read_with_list_first_block),
    b"\xc3\x06": (ActionRequestBlock.name, lambda reader: ActionRequestBlock(reader.octet(), *read_block(reader))),
    b"\xc7\x01": (ActionResponseNormal.name, _read_response),
    b"\xc7\x02": (ActionResponseBlock.name, lambda reader: ActionResponseBlock(reader.octet(), *read_block(reader))),
    b"\xc7\x03": (
        ActionResponseWithList.name,
        lambda reader: ActionResponseWithList(reader.octet(), read_list(reader, read_action_result)),
    ),
    b"\xc7\x04": (
        ActionResponseNextBlock.name,
        lambda reader: ActionResponseNextBlock(reader.octet(), reader.uint(4)),
    ),
}
