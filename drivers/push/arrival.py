"""An APDU that a meter sent unasked, as it came: whole, still protected, with the way that it took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from drivers.dlms import apdu as codec
from drivers.dlms.apdu import (
    GeneralCiphering,
    GeneralDedCiphering,
    GeneralGloCiphering,
    GeneralSigning,
    tags,
)
from drivers.hdlc.addresses import HdlcAddress
from profiles.errors import ProtocolError

NOTIFICATIONS: Final = frozenset({tags.DATA_NOTIFICATION, 0xC2})
"""Tags of data-notification and event-notification in clear."""
COVERS: Final = frozenset(
    {
        tags.GLO[0xC2],
        tags.DED[0xC2],
        tags.GENERAL_GLO_CIPHERING,
        tags.GENERAL_DED_CIPHERING,
        tags.GENERAL_CIPHERING,
        tags.GENERAL_SIGNING,
    }
)
"""Tags of what a notification can be protected in; a data-notification has no glo- or ded- form."""

FramingName = Literal["wrapper", "hdlc", "m-bus", "bare"]


@dataclass(frozen=True, slots=True)
class Route:
    """Where an APDU came from and was sent to: the way back for an answer."""

    framing: FramingName
    source: int = 0
    """The sender's wPort or SAP; 0 where the framing names none."""
    destination: int = 0
    hdlc: tuple[HdlcAddress, HdlcAddress] | None = None
    """Source and destination with their physical devices."""
    mbus: int = 0
    """The M-Bus address of the meter."""
    gateway: tuple[int, int, bytes] | None = None
    """The gateway's header, where one stood before the APDU: its tag, network id and physical device address."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One whole APDU; nothing in it is known to be true."""

    apdu: bytes = field(repr=False)
    route: Route
    peer: str = ""
    """The network address that it came from."""


def title_of(apdu: bytes) -> bytes:
    """The system title that the APDU claims to be from; b"" where it names none. ProtocolError where it is garbled.

    It is what to look the keys up by, and proves nothing before the APDU is opened.
    """
    if apdu[:1] not in _NAMING:
        return b""
    value = codec.decode(apdu)
    if isinstance(value, GeneralGloCiphering | GeneralDedCiphering):
        return value.system_title
    if isinstance(value, GeneralCiphering):
        return value.header.originator_system_title
    assert isinstance(value, GeneralSigning), "the tag was looked at"
    inside = value.content
    if inside[:1] == bytes([tags.GENERAL_SIGNING]):
        raise ProtocolError("a signed APDU inside a signed one")
    return value.header.originator_system_title or title_of(inside)


_NAMING: Final = frozenset(
    bytes([tag])
    for tag in (
        tags.GENERAL_GLO_CIPHERING,
        tags.GENERAL_DED_CIPHERING,
        tags.GENERAL_CIPHERING,
        tags.GENERAL_SIGNING,
    )
)
