"""Initiate: what client and meter propose and agree to, inside AARQ, AARE and RLRQ (Green Book, clause 9.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import ClassVar, Final, TypeAlias

from drivers.dlms.apdu.fields import Readers, octets, optional, read_choice
from drivers.dlms.axdr import Reader
from profiles.errors import ProtocolError

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

    name: ClassVar[str] = "initiateRequest"

    conformance: int
    max_pdu: int
    dedicated_key: bytes | None = None
    response_allowed: bool = True
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION

    def __repr__(self) -> str:
        return f"InitiateRequest(conformance=0x{self.conformance:06x}, max_pdu={self.max_pdu}, …)"

    def encode(self) -> bytes:
        return b"".join(
            (
                b"\x01",
                optional(None if self.dedicated_key is None else octets(self.dedicated_key)),
                b"\x00" if self.response_allowed else b"\x01\x00",
                _quality(self.quality_of_service),
                self.dlms_version.to_bytes(1, "big"),
                _CONFORMANCE_HEADER,
                self.conformance.to_bytes(3, "big"),
                self.max_pdu.to_bytes(2, "big"),
            )
        )


@dataclass(frozen=True, slots=True)
class InitiateResponse:
    """What the meter agrees to; `conformance` is the 24-bit block, `max_pdu` the largest APDU that it takes."""

    name: ClassVar[str] = "initiateResponse"

    conformance: int
    max_pdu: int
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION
    vaa_name: int = VAA_NAME

    def encode(self) -> bytes:
        return b"".join(
            (
                b"\x08",
                _quality(self.quality_of_service),
                self.dlms_version.to_bytes(1, "big"),
                _CONFORMANCE_HEADER,
                self.conformance.to_bytes(3, "big"),
                self.max_pdu.to_bytes(2, "big"),
                self.vaa_name.to_bytes(2, "big"),
            )
        )


def _quality(quality: int | None) -> bytes:
    return optional(None if quality is None else quality.to_bytes(1, "big", signed=True))


def _read_conformance(reader: Reader) -> int:
    header = reader.take(4)
    if header != _CONFORMANCE_HEADER:
        raise ProtocolError(f"{reader.what}: conformance block begins {header.hex()}, not 5f1f0400")
    return reader.uint(3)


def _read_request(reader: Reader) -> InitiateRequest:
    key = reader.octets() if read_choice(reader) else None
    response_allowed = bool(reader.octet()) if read_choice(reader) else True
    quality = reader.int8() if read_choice(reader) else None
    version = reader.octet()
    conformance = _read_conformance(reader)
    return InitiateRequest(conformance, reader.uint(2), key, response_allowed, quality, version)


def _read_response(reader: Reader) -> InitiateResponse:
    quality = reader.int8() if read_choice(reader) else None
    version = reader.octet()
    conformance = _read_conformance(reader)
    return InitiateResponse(conformance, reader.uint(2), quality, version, reader.uint(2))


InitiateApdu: TypeAlias = InitiateRequest | InitiateResponse

READERS: Final[Readers[InitiateApdu]] = {
    b"\x01": (InitiateRequest.name, _read_request),
    b"\x08": (InitiateResponse.name, _read_response),
}
