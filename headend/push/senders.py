"""Whom an APDU claims to be from.

The one rule: a claim proves nothing. It says which keys to try; where a push is in clear, it is all there is, and what
comes of it is marked as not authenticated.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from drivers.dlms import apdu as codec
from drivers.dlms import axdr
from drivers.dlms.apdu import DataNotification
from drivers.push import Arrival, title_of
from drivers.push.arrival import NOTIFICATIONS

_MOST_NAMES: Final = 4
_SHORTEST: Final = 4
_LONGEST: Final = 64
"""Characters of what can be a device id."""


class Claim(NamedTuple):
    """By what to find the meter: its system title, else what may be its device id, else the host that it calls from."""

    title: bytes = b""
    devices: tuple[str, ...] = ()
    host: str = ""

    @property
    def sender(self) -> str:
        """How those are told apart that nobody has registered."""
        if self.title:
            return f"title {self.title.hex().upper()}"
        return f"device {self.devices[0]}" if self.devices else f"peer {self.host}"


def claim_of(arrival: Arrival) -> Claim:
    """ProtocolError where the APDU is garbled."""
    apdu = arrival.apdu
    title = title_of(apdu)
    if title:
        return Claim(title)
    devices: tuple[str, ...] = ()
    if apdu[:1] and apdu[0] in NOTIFICATIONS:
        notification = codec.decode(apdu)
        if isinstance(notification, DataNotification):
            devices = tuple(_names(axdr.decode(notification.data)))
    return Claim(b"", devices, host_of(arrival.peer))


def host_of(peer: str) -> str:
    """`127.0.0.1` of `127.0.0.1:4059`, `::1` of `[::1]:4059`; a topic as it is."""
    host, colon, port = peer.rpartition(":")
    return host.strip("[]") if colon and port.isdecimal() else peer


def _names(body: axdr.Value) -> list[str]:
    """What can be a device id, in the order of the body; in an array or structure of pairs also one level down."""
    found: list[str] = []
    for element in body if isinstance(body, tuple | list) else (body,):
        for value in element if isinstance(element, tuple | list) else (element,):
            text = _text(value)
            if text and text not in found:
                found.append(text)
                if len(found) == _MOST_NAMES:
                    return found
    return found


def _text(value: axdr.Value) -> str:
    if isinstance(value, bytes) and value.isascii():
        value = value.decode("ascii")
    if not isinstance(value, str):
        return ""
    text = value.strip("\0 ")
    return text if _SHORTEST <= len(text) <= _LONGEST and text.isprintable() else ""
