"""The containers of protected APDUs: what surrounds ciphered or signed octets (Green Book, clauses 9.2 and 9.5).

No key and no check is here: `content` is what protection made (security control, counter, ciphertext, tag), whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from drivers.dlms.apdu import tags
from drivers.dlms.apdu.fields import Readers, octets, optional, read_choice
from drivers.dlms.axdr import Reader
from profiles.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class ServiceCiphered:
    """A glo- or ded- APDU, told by its tag."""

    tag: int
    content: bytes

    def encode(self) -> bytes:
        return bytes([self.tag]) + octets(self.content)

    @property
    def name(self) -> str:
        return tags.ciphered_name(self.tag)

    @property
    def plain_tag(self) -> int:
        """The tag that the APDU inside has to have."""
        return tags.CIPHERED[self.tag][0]

    @property
    def dedicated(self) -> bool:
        """Under the dedicated key rather than the global one."""
        return tags.CIPHERED[self.tag][1]


@dataclass(frozen=True, slots=True)
class GeneralGloCiphering:
    """Any APDU under the global key; `system_title` is the sender's, 8 octets, or empty where the partner knows it."""

    name: ClassVar[str] = "general-glo-ciphering"

    system_title: bytes
    content: bytes

    def encode(self) -> bytes:
        return bytes([tags.GENERAL_GLO_CIPHERING]) + octets(self.system_title) + octets(self.content)


@dataclass(frozen=True, slots=True)
class GeneralDedCiphering:
    """Any APDU under the dedicated key; `system_title` is the sender's, 8 octets, or empty."""

    name: ClassVar[str] = "general-ded-ciphering"

    system_title: bytes
    content: bytes

    def encode(self) -> bytes:
        return bytes([tags.GENERAL_DED_CIPHERING]) + octets(self.system_title) + octets(self.content)


@dataclass(frozen=True, slots=True)
class IdentifiedKey:
    """A key that both have: 0 global unicast, 1 global broadcast."""

    key_id: int

    def encode(self) -> bytes:
        return bytes([0, self.key_id])


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """The key itself, wrapped by a key encryption key: 0 is the master key."""

    kek_id: int
    ciphered_key: bytes

    def encode(self) -> bytes:
        return bytes([1, self.kek_id]) + octets(self.ciphered_key)


@dataclass(frozen=True, slots=True)
class AgreedKey:
    """A key to agree on: `parameters` 01 one-pass Diffie-Hellman C(1e, 1s), 02 static unified model C(0e, 2s).

    `ciphered_data`: for 01 the ephemeral public key and its signature; for 02 empty.
    """

    parameters: bytes
    ciphered_data: bytes

    def encode(self) -> bytes:
        return b"\x02" + octets(self.parameters) + octets(self.ciphered_data)


KeyInfo: TypeAlias = IdentifiedKey | WrappedKey | AgreedKey


@dataclass(frozen=True, slots=True)
class GeneralHeader:
    """The fields that general-ciphering and general-signing begin with, each of which may be empty."""

    transaction_id: bytes = b""
    originator_system_title: bytes = b""
    recipient_system_title: bytes = b""
    date_time: bytes = b""
    other_information: bytes = b""

    def encode(self) -> bytes:
        """All five, each with its length: what is authenticated or signed along with the content."""
        fields = (
            self.transaction_id,
            self.originator_system_title,
            self.recipient_system_title,
            self.date_time,
            self.other_information,
        )
        return b"".join(map(octets, fields))


@dataclass(frozen=True, slots=True)
class GeneralCiphering:
    """Any APDU, protected end to end, with the key named, sent along, or to be agreed on."""

    name: ClassVar[str] = "general-ciphering"

    header: GeneralHeader
    key_info: KeyInfo | None
    content: bytes

    def encode(self) -> bytes:
        key_info = optional(None if self.key_info is None else self.key_info.encode())
        return bytes([tags.GENERAL_CIPHERING]) + self.header.encode() + key_info + octets(self.content)


@dataclass(frozen=True, slots=True)
class GeneralSigning:
    """Any APDU, protected or not, with the originator's signature."""

    name: ClassVar[str] = "general-signing"

    header: GeneralHeader
    content: bytes
    signature: bytes

    def encode(self) -> bytes:
        return bytes([tags.GENERAL_SIGNING]) + self.signed + octets(self.signature)

    @property
    def signed(self) -> bytes:
        """What the signature is over: transaction-id to content, each with its length."""
        return self.header.encode() + octets(self.content)


def _read_header(reader: Reader) -> GeneralHeader:
    return GeneralHeader(*(reader.octets() for _ in range(5)))


def _read_key_info(reader: Reader) -> KeyInfo:
    choice = reader.octet()
    if choice == 0:
        return IdentifiedKey(reader.octet())
    if choice == 1:
        return WrappedKey(reader.octet(), reader.octets())
    if choice == 2:
        return AgreedKey(reader.octets(), reader.octets())
    raise ProtocolError(f"{reader.what}: key-info of kind {choice} at octet {reader.offset - 1}")


def _read_general_ciphering(reader: Reader) -> GeneralCiphering:
    header = _read_header(reader)
    key_info = _read_key_info(reader) if read_choice(reader) else None
    return GeneralCiphering(header, key_info, reader.octets())


def _read_service_ciphered(reader: Reader) -> ServiceCiphered:
    return ServiceCiphered(reader.data[0], reader.octets())


ProtectedApdu: TypeAlias = (
    ServiceCiphered | GeneralGloCiphering | GeneralDedCiphering | GeneralCiphering | GeneralSigning
)

READERS: Final[Readers[ProtectedApdu]] = {
    **{bytes([tag]): (tags.ciphered_name(tag), _read_service_ciphered) for tag in tags.CIPHERED},
    b"\xdb": (GeneralGloCiphering.name, lambda reader: GeneralGloCiphering(reader.octets(), reader.octets())),
    b"\xdc": (GeneralDedCiphering.name, lambda reader: GeneralDedCiphering(reader.octets(), reader.octets())),
    b"\xdd": (GeneralCiphering.name, _read_general_ciphering),
    b"\xdf": (
        GeneralSigning.name,
        lambda reader: GeneralSigning(_read_header(reader), reader.octets(), reader.octets()),
    ),
}
