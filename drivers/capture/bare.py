"""APDUs without frames, one or several on end, with or without the LLC header that they had on HDLC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from drivers.capture.body import last_data
from drivers.capture.framing import ACSE, NAMES, Frame, Framed, Stop, Unit
from drivers.dlms import acse, apdu
from drivers.dlms.apdu import (
    GatewayRequest,
    GatewayResponse,
    GeneralCiphering,
    GeneralDedCiphering,
    GeneralGloCiphering,
    ServiceCiphered,
    tags,
)
from drivers.dlms.axdr import Reader, decode_typed
from drivers.dlms.security.gcm import HEADER_OCTETS
from drivers.dlms.security.suites import BOTH, SUITE_BITS, SUITES
from drivers.hdlc.llc import COMMAND, RESPONSE
from profiles.errors import ProtocolError

_LLC: Final = {COMMAND: "command", RESPONSE: "response"}
_ACSE_READERS: Final[dict[int, Callable[[bytes], object]]] = {
    0x60: acse.decode_aarq,
    0x61: acse.decode_aare,
    0x62: acse.decode_rlrq,
    0x63: acse.decode_rlre,
}
_LENGTHS: Final = {
    **dict.fromkeys((*ACSE, *tags.CIPHERED), (0, 1)),
    tags.GENERAL_GLO_CIPHERING: (0, 2),
    tags.GENERAL_DED_CIPHERING: (0, 2),
    tags.GENERAL_BLOCK_TRANSFER: (5, 1),
}
"""Tags of APDUs that say how long they are: octets before the first length, and how many lengths with octets."""


def find_bare(octets: bytes, hidden: frozenset[int]) -> Framed:
    """The APDUs that the octets are. One that says its length may be followed by another."""
    found = Framed("bare APDU")
    at = 0
    while at < len(octets):
        kind = _LLC.get(octets[at : at + len(COMMAND)])
        frames = () if kind is None else (Frame("LLC", len(COMMAND), kind),)
        start = at + (0 if kind is None else len(COMMAND))
        try:
            end = start + _size(octets[start:])
            _check(octets[start:end], hidden=not hidden.isdisjoint(range(start, end)))
        except ProtocolError as error:
            found.stops.append(Stop(start + (error.octet or 0), error.message))
            break
        found.units.append(Unit(octets[start:end], frames, at, end, ((0, start),)))
        found.understood += end - at
        at = end
    return found


def is_apdu(octets: bytes) -> bool:
    """Whether the octets are one APDU, data and all, protected or not."""
    try:
        _check(octets, hidden=False)
    except ProtocolError:
        return False
    return True


def _size(octets: bytes) -> int:
    """Where the APDU ends that begins here."""
    if not octets:
        raise ProtocolError("nothing follows the LLC header").stopped_at(0)
    before, lengths = _LENGTHS.get(octets[0], (0, 0))
    if not lengths:
        return len(octets)
    reader = Reader(octets, "an APDU", 1)
    try:
        reader.take(before)
        for _ in range(lengths):
            reader.octets()
    except ProtocolError as error:
        raise error.stopped_at(len(octets)) from None
    return reader.offset


def _check(octets: bytes, *, hidden: bool) -> None:
    """ProtocolError unless the octets are an APDU: what is inside, protected or not, is looked at later."""
    if octets[0] in _ACSE_READERS:
        _ACSE_READERS[octets[0]](octets)
        return
    try:
        value = apdu.decode(octets)
        _check_data(last_data(value), len(octets))
    except ProtocolError:
        if hidden and octets[0] in NAMES:
            return
        raise
    match value:
        case ServiceCiphered() | GeneralGloCiphering() | GeneralDedCiphering() | GeneralCiphering():
            _check_protected(value.content, len(octets) - len(value.content))
        case GatewayRequest() | GatewayResponse():
            try:
                _check(value.apdu, hidden=hidden)
            except ProtocolError as error:
                inside = len(octets) - len(value.apdu) + (error.octet or 0)
                raise ProtocolError(error.message).stopped_at(inside) from None


def _check_data(data: bytes | None, size: int) -> None:
    try:
        if data is not None:
            decode_typed(data)
    except ProtocolError as error:
        raise ProtocolError(error.message).stopped_at(size - len(data or b"") + (error.octet or 0)) from None


def _check_protected(content: bytes, at: int) -> None:
    if len(content) < HEADER_OCTETS:
        raise ProtocolError(f"{len(content)} protected octets, fewer than security control and counter")
    if content[0] & SUITE_BITS not in SUITES or not content[0] & BOTH:
        raise ProtocolError(f"security control {content[0]:02x} is none that is known").stopped_at(at)
