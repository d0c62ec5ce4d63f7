"""The LLC sublayer (Green Book, clause 8.3): three octets before each APDU on HDLC, however many frames it takes."""

from __future__ import annotations

from typing import Final

from profiles.errors import ProtocolError

COMMAND: Final = b"\xe6\xe6\x00"
"""Before what a client sends."""
RESPONSE: Final = b"\xe6\xe7\x00"
"""Before what a server sends, unasked too."""
MAX_APDU: Final = 0xFFFF


def strip(lsdu: bytes) -> bytes:
    """The APDU behind either header; ProtocolError where there is none."""
    if lsdu[:3] not in (COMMAND, RESPONSE):
        raise ProtocolError(f"no LLC header before the APDU: it begins {lsdu[:3].hex()}")
    return lsdu[3:]


class Assembly:
    """Puts the information fields of one sender together to APDUs."""

    def __init__(self, max_apdu: int = MAX_APDU) -> None:
        self._lsdu = bytearray()
        self._limit = max_apdu + len(COMMAND)

    def add(self, information: bytes, segmented: bool) -> bytes | None:
        """The APDU that this field completes, None where more segments follow; ProtocolError on one too long."""
        self._lsdu += information
        if len(self._lsdu) > self._limit:
            self._lsdu.clear()
            raise ProtocolError(f"an APDU of more than {self._limit - len(COMMAND)} octets in HDLC segments")
        if segmented:
            return None
        lsdu = bytes(self._lsdu)
        self._lsdu.clear()
        return strip(lsdu)


def segments(lsdu: bytes, size: int) -> list[bytes]:
    """Cut to information fields of at most `size` octets."""
    return [lsdu[at : at + size] for at in range(0, len(lsdu), size)]
