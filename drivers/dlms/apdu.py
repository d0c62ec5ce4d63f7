"""xDLMS APDUs in clear: Initiate, GET, ACTION and the two error answers (Green Book, clause 9.5).

Values are frozen dataclasses with `encode()`; `decode(octets)` gives the one that the octets are. Both directions
are here, so that client and meter share one codec. COSEM data inside (attribute values, parameters) stays encoded:
its decoding belongs to whoever knows what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from typing import Final, TypeAlias

from drivers.dlms import axdr, results
from drivers.dlms.axdr import Reader
from profiles.errors import ProtocolError
from profiles.objects import AttributeRef, CaptureObject, MethodRef, Obis

DLMS_VERSION: Final = 6
VAA_NAME: Final = 0x0007
"""The vaa-name of logical name referencing."""


class Conformance(IntFlag):
    """The conformance block; bit 0 of the standard is the most significant of the 24."""

    GENERAL_PROTECTION = 0x400000
    GENERAL_BLOCK_TRANSFER = 0x200000
    READ = 0x100000
    WRITE = 0x080000
    UNCONFIRMED_WRITE = 0x040000
    DELTA_VALUE_ENCODING = 0x020000
    ATTRIBUTE_0_WITH_SET = 0x008000
    PRIORITY_MANAGEMENT = 0x004000
    ATTRIBUTE_0_WITH_GET = 0x002000
    BLOCK_TRANSFER_WITH_GET = 0x001000
    BLOCK_TRANSFER_WITH_SET = 0x000800
    BLOCK_TRANSFER_WITH_ACTION = 0x000400
    MULTIPLE_REFERENCES = 0x000200
    INFORMATION_REPORT = 0x000100
    DATA_NOTIFICATION = 0x000080
    ACCESS = 0x000040
    PARAMETERIZED_ACCESS = 0x000020
    GET = 0x000010
    SET = 0x000008
    SELECTIVE_ACCESS = 0x000004
    EVENT_NOTIFICATION = 0x000002
    ACTION = 0x000001


_CONFORMANCE_HEADER: Final = bytes.fromhex("5f1f0400")
"""[APPLICATION 31] IMPLICIT BIT STRING of 24 bits, encoded in BER inside the A-XDR of both Initiate APDUs."""


@dataclass(frozen=True, slots=True)
class InitiateRequest:
    """What the client proposes; `conformance` is the 24-bit block, `max_pdu` the largest APDU that it takes."""

    conformance: int
    max_pdu: int
    dedicated_key: bytes | None = None
    response_allowed: bool = True
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION

    def __repr__(self) -> str:
        return f"InitiateRequest(conformance=0x{self.conformance:06x}, max_pdu={self.max_pdu}, …)"

    def encode(self) -> bytes:
        key, quality = self.dedicated_key, self.quality_of_service
        return b"".join(
            (
                b"\x01",
                b"\x00" if key is None else b"\x01" + axdr.length(len(key)) + key,
                b"\x00" if self.response_allowed else b"\x01\x00",
                b"\x00" if quality is None else b"\x01" + quality.to_bytes(1, "big", signed=True),
                self.dlms_version.to_bytes(1, "big"),
                _CONFORMANCE_HEADER,
                self.conformance.to_bytes(3, "big"),
                self.max_pdu.to_bytes(2, "big"),
            )
        )


@dataclass(frozen=True, slots=True)
class InitiateResponse:
    """What the meter agrees to; `conformance` is the 24-bit block, `max_pdu` the largest APDU that it takes."""

    conformance: int
    max_pdu: int
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION
    vaa_name: int = VAA_NAME

    def encode(self) -> bytes:
        quality = self.quality_of_service
        return b"".join(
            (
                b"\x08",
                b"\x00" if quality is None else b"\x01" + quality.to_bytes(1, "big", signed=True),
                self.dlms_version.to_bytes(1, "big"),
                _CONFORMANCE_HEADER,
                self.conformance.to_bytes(3, "big"),
                self.max_pdu.to_bytes(2, "big"),
                self.vaa_name.to_bytes(2, "big"),
            )
        )


@dataclass(frozen=True, slots=True)
class GetRequestNormal:
    """GET of one attribute; `selection` is the access selector's octet and its parameters in A-XDR."""

    invoke_id: int
    attribute: AttributeRef
    selection: bytes | None = None

    def encode(self) -> bytes:
        chosen = b"\x00" if self.selection is None else b"\x01" + self.selection
        return bytes([0xC0, 1, self.invoke_id]) + _descriptor(*self.attribute) + chosen


@dataclass(frozen=True, slots=True)
class GetRequestNext:
    """Asks for the block after `block`, which was received."""

    invoke_id: int
    block: int

    def encode(self) -> bytes:
        return bytes([0xC0, 2, self.invoke_id]) + self.block.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class GetResponseNormal:
    """The attribute's value in A-XDR, or a data-access-result: one of the two is None."""

    invoke_id: int
    data: bytes | None = None
    error: int | None = None

    def encode(self) -> bytes:
        return bytes([0xC4, 1, self.invoke_id]) + _result(self.data, self.error)


@dataclass(frozen=True, slots=True)
class GetResponseBlock:
    """A piece of the A-XDR data, or a data-access-result that ends the transfer: one of the two is None."""

    invoke_id: int
    last: bool
    block: int
    data: bytes | None = None
    error: int | None = None

    def encode(self) -> bytes:
        head = bytes([0xC4, 2, self.invoke_id, self.last]) + self.block.to_bytes(4, "big")
        return head + _result(None if self.data is None else axdr.length(len(self.data)) + self.data, self.error)


@dataclass(frozen=True, slots=True)
class ActionRequestNormal:
    """ACTION of one method; `parameters` in A-XDR."""

    invoke_id: int
    method: MethodRef
    parameters: bytes | None = None

    def encode(self) -> bytes:
        parameters = b"\x00" if self.parameters is None else b"\x01" + self.parameters
        return bytes([0xC3, 1, self.invoke_id]) + _descriptor(*self.method) + parameters


@dataclass(frozen=True, slots=True)
class ActionResponseNormal:
    """An action-result, and what the method returned: A-XDR data, or a data-access-result, or neither."""

    invoke_id: int
    result: int
    data: bytes | None = None
    error: int | None = None

    def encode(self) -> bytes:
        returned = b"\x00" if self.data is None and self.error is None else b"\x01" + _result(self.data, self.error)
        return bytes([0xC7, 1, self.invoke_id, self.result]) + returned


@dataclass(frozen=True, slots=True)
class ExceptionResponse:
    """The meter did not even begin; with service error 6 it may name the invocation counter that it expects."""

    state_error: int
    service_error: int
    invocation_counter: int | None = None

    def encode(self) -> bytes:
        counter = self.invocation_counter
        tail = b"" if counter is None else counter.to_bytes(4, "big")
        return bytes([0xD8, self.state_error, self.service_error]) + tail

    @property
    def text(self) -> str:
        """Both errors in words."""
        return results.exception_text(self.state_error, self.service_error)


@dataclass(frozen=True, slots=True)
class ConfirmedServiceError:
    """`service` that failed (1 initiate, 5 read, 6 write), the kind of error and its code."""

    service: int
    category: int
    code: int

    def encode(self) -> bytes:
        return bytes([0x0E, self.service, self.category, self.code])

    @property
    def text(self) -> str:
        """The error in words."""
        return results.confirmed_service_error_text(self.category, self.code)


Apdu: TypeAlias = (
    InitiateRequest
    | InitiateResponse
    | GetRequestNormal
    | GetRequestNext
    | GetResponseNormal
    | GetResponseBlock
    | ActionRequestNormal
    | ActionResponseNormal
    | ExceptionResponse
    | ConfirmedServiceError
)


def decode(apdu: bytes) -> Apdu:
    """The APDU that the octets are; ProtocolError on anything else, octets left over included."""
    if not apdu:
        raise ProtocolError("an empty APDU")
    read = _DECODERS.get(apdu[:1]) or _DECODERS.get(apdu[:2])
    if read is None:
        raise ProtocolError(f"an APDU that is not known here, it begins {apdu[:2].hex()}")
    name, head, body = read
    reader = Reader(apdu, name, head)
    value = body(reader)
    reader.end()
    return value


# --- what an APDU is made of ----------------------------------------------------------------------------------


def _descriptor(class_id: int, obis: Obis, index: int) -> bytes:
    return class_id.to_bytes(2, "big") + bytes(obis) + index.to_bytes(1, "big", signed=True)


def _read_descriptor(reader: Reader) -> tuple[int, Obis, int]:
    return reader.uint(2), Obis.of(reader.take(6)), reader.int8()


def _result(data: bytes | None, error: int | None) -> bytes:
    """Get-Data-Result: data [0] or data-access-result [1]."""
    if data is not None and error is None:
        return b"\x00" + data
    if error is not None and data is None:
        return bytes([1, error])
    raise ValueError("a result is data or an error, one of the two")


def _read_choice(reader: Reader) -> bool:
    """A presence or choice octet, 0 or 1."""
    octet = reader.uint(1)
    if octet > 1:
        raise ProtocolError(f"{reader.what}: {octet} at octet {reader.offset - 1}, where 0 or 1 has to stand")
    return bool(octet)


def _read_data(reader: Reader) -> bytes:
    """COSEM data that ends the APDU: at least its tag."""
    if not reader.left:
        raise ProtocolError(f"{reader.what}: ends where data should begin")
    return reader.rest()


def _read_result(reader: Reader) -> tuple[bytes | None, int | None]:
    if _read_choice(reader):
        return None, reader.uint(1)
    return _read_data(reader), None


def _read_conformance(reader: Reader) -> int:
    header = reader.take(4)
    if header != _CONFORMANCE_HEADER:
        raise ProtocolError(f"{reader.what}: conformance block begins {header.hex()}, not 5f1f0400")
    return reader.uint(3)


def _read_initiate_request(reader: Reader) -> InitiateRequest:
    key = reader.octets() if _read_choice(reader) else None
    response_allowed = bool(reader.uint(1)) if _read_choice(reader) else True
    quality = reader.int8() if _read_choice(reader) else None
    version = reader.uint(1)
    conformance = _read_conformance(reader)
    return InitiateRequest(conformance, reader.uint(2), key, response_allowed, quality, version)


def _read_initiate_response(reader: Reader) -> InitiateResponse:
    quality = reader.int8() if _read_choice(reader) else None
    version = reader.uint(1)
    conformance = _read_conformance(reader)
    return InitiateResponse(conformance, reader.uint(2), quality, version, reader.uint(2))


def _read_get_request(reader: Reader) -> GetRequestNormal:
    invoke_id, attribute = reader.uint(1), AttributeRef(*_read_descriptor(reader))
    return GetRequestNormal(invoke_id, attribute, _read_data(reader) if _read_choice(reader) else None)


def _read_get_block(reader: Reader) -> GetResponseBlock:
    invoke_id, last, block = reader.uint(1), bool(reader.uint(1)), reader.uint(4)
    if _read_choice(reader):
        return GetResponseBlock(invoke_id, last, block, None, reader.uint(1))
    return GetResponseBlock(invoke_id, last, block, reader.octets())


def _read_action_request(reader: Reader) -> ActionRequestNormal:
    invoke_id, method = reader.uint(1), MethodRef(*_read_descriptor(reader))
    return ActionRequestNormal(invoke_id, method, _read_data(reader) if _read_choice(reader) else None)


def _read_action_response(reader: Reader) -> ActionResponseNormal:
    invoke_id, result = reader.uint(1), reader.uint(1)
    data, error = _read_result(reader) if _read_choice(reader) else (None, None)
    return ActionResponseNormal(invoke_id, result, data, error)


def _read_exception(reader: Reader) -> ExceptionResponse:
    state, service = reader.uint(1), reader.uint(1)
    counter = reader.uint(4) if service == results.INVOCATION_COUNTER_ERROR and reader.left else None
    return ExceptionResponse(state, service, counter)


_DECODERS: Final[dict[bytes, tuple[str, int, Callable[[Reader], Apdu]]]] = {
    b"\x01": ("initiate-request", 1, _read_initiate_request),
    b"\x08": ("initiate-response", 1, _read_initiate_response),
    b"\x0e": (
        "confirmed-service-error",
        1,
        lambda reader: ConfirmedServiceError(reader.uint(1), reader.uint(1), reader.uint(1)),
    ),
    b"\xc0\x01": ("get-request-normal", 2, _read_get_request),
    b"\xc0\x02": ("get-request-next", 2, lambda reader: GetRequestNext(reader.uint(1), reader.uint(4))),
    b"\xc3\x01": ("action-request-normal", 2, _read_action_request),
    b"\xc4\x01": ("get-response-normal", 2, lambda reader: GetResponseNormal(reader.uint(1), *_read_result(reader))),
    b"\xc4\x02": ("get-response-with-datablock", 2, _read_get_block),
    b"\xc7\x01": ("action-response-normal", 2, _read_action_response),
    b"\xd8": ("exception-response", 1, _read_exception),
}
"""first octet or two: name, how many octets they are, and the reader of the rest."""


# --- selective access of a profile (Blue Book, Profile generic, attribute 2) -----------------------------------


@dataclass(frozen=True, slots=True)
class RangeSelection:
    """Selector 1: rows whose `clock` column lies in [start, end], date-times of 12 octets; no columns: all."""

    clock: CaptureObject
    start: bytes
    end: bytes


@dataclass(frozen=True, slots=True)
class EntrySelection:
    """Selector 2: rows `first` to `last` counted from 1 (0: to the end), columns likewise."""

    first: int
    last: int
    first_column: int = 1
    last_column: int = 0


def range_selection(clock: CaptureObject, start: bytes, end: bytes) -> bytes:
    """Selector 1, by range of the clock, all columns; `start` and `end` are date-times of 12 octets."""
    restricting = axdr.structure(
        axdr.uint16(clock.class_id),
        axdr.octet_string(bytes(clock.obis)),
        axdr.int8(clock.attribute),
        axdr.uint16(clock.data_index),
    )
    return b"\x01" + axdr.structure(restricting, axdr.octet_string(start), axdr.octet_string(end), axdr.array([]))


def entry_selection(first: int, last: int = 0, first_column: int = 1, last_column: int = 0) -> bytes:
    """Selector 2, by entry: rows `first` to `last` counted from 1 (0: to the end), columns likewise."""
    return b"\x02" + axdr.structure(
        axdr.uint32(first), axdr.uint32(last), axdr.uint16(first_column), axdr.uint16(last_column)
    )


def decode_selection(selection: bytes) -> RangeSelection | EntrySelection:
    """What a selection asks for; ProtocolError on other selectors, other shapes, or a range with chosen columns."""
    value = axdr.decode(selection[1:]) if selection else None
    match selection[:1], value:
        case b"\x01", (
            (int(class_id), bytes(obis), int(attribute), int(index)),
            bytes(start),
            bytes(end),
            [],
        ) if len(obis) == 6 and len(start) == len(end) == 12:
            return RangeSelection(CaptureObject(class_id, Obis.of(obis), attribute, index), start, end)
        case b"\x02", (int(first), int(last), int(first_column), int(last_column)):
            return EntrySelection(first, last, first_column, last_column)
        case _:
            raise ProtocolError(f"a selection that is not known here: {selection[:64].hex()}")
