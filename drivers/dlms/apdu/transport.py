"""What carries an APDU further, whole or in blocks: gateway, general-block-transfer (Green Book, clauses 9.5, 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from drivers.dlms.apdu import tags
from drivers.dlms.apdu.fields import Readers, octets, read_last_data
from drivers.dlms.axdr import Reader


@dataclass(frozen=True, slots=True)
class GeneralBlockTransfer:
    """A block of any APDU.

    `window` (0..63) is how many blocks the sender of this one takes without confirming, `acknowledged` the number of
    the last block that it has received without a gap; `streaming`: more follows without being asked.
    """

    name: ClassVar[str] = "general-block-transfer"

    last: bool
    streaming: bool
    window: int
    block: int
    acknowledged: int
    data: bytes

    def encode(self) -> bytes:
        if not 0 <= self.window <= 63:
            raise ValueError(f"a window of {self.window} blocks, not 0 to 63")
        control = self.last << 7 | self.streaming << 6 | self.window
        numbers = self.block.to_bytes(2, "big") + self.acknowledged.to_bytes(2, "big")
        return bytes([tags.GENERAL_BLOCK_TRANSFER, control]) + numbers + octets(self.data)


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """An APDU for a meter behind a gateway: its network and its physical device address there."""

    name: ClassVar[str] = "gateway-request"

    network_id: int
    address: bytes
    apdu: bytes

    def encode(self) -> bytes:
        return bytes([tags.GATEWAY_REQUEST, self.network_id]) + octets(self.address) + self.apdu


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """An APDU from a meter behind a gateway."""

    name: ClassVar[str] = "gateway-response"

    network_id: int
    address: bytes
    apdu: bytes

    def encode(self) -> bytes:
        return bytes([tags.GATEWAY_RESPONSE, self.network_id]) + octets(self.address) + self.apdu


def _read_block(reader: Reader) -> GeneralBlockTransfer:
    control = reader.octet()
    return GeneralBlockTransfer(
        bool(control & 0x80), bool(control & 0x40), control & 0x3F, reader.uint(2), reader.uint(2), reader.octets()
    )


TransportApdu: TypeAlias = GeneralBlockTransfer | GatewayRequest | GatewayResponse

READERS: Final[Readers[TransportApdu]] = {
    b"\xe0": (GeneralBlockTransfer.name, _read_block),
    b"\xe6": (
        GatewayRequest.name,
        lambda reader: GatewayRequest(reader.octet(), reader.octets(), read_last_data(reader)),
    ),
    b"\xe7": (
        GatewayResponse.name,
        lambda reader: GatewayResponse(reader.octet(), reader.octets(), read_last_data(reader)),
    ),
}
