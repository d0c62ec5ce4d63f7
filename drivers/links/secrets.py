"""Where secrets stand in the APDUs that we send: what a transcript leaves out.

A password stands in clear in an AARQ, a dedicated key in an InitiateRequest that is not ciphered, and any secret in a
SET or an ACTION that is not. The one rule: what can't be told apart is taken for a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from drivers.links.stream import Spans

_AARQ: Final = 0x60
_MECHANISM: Final = 0x8B
_LLS: Final = 1
_AUTHENTICATION_VALUE: Final = 0xAC
_USER_INFORMATION: Final = 0xBE
_INITIATE: Final = 0x01
_SET, _ACTION, _GATEWAY, _ACCESS = 0xC1, 0xC3, 0xE6, 0xD9
SECRET_CLASSES: Final = frozenset({12, 15, 64})
"""Associations by short and by logical name, security setup."""


def secret_places(apdu: bytes) -> Spans:
    """The octets of `apdu` that nobody should read; usually none."""
    find = _FINDERS.get(apdu[0]) if apdu else None
    if find is None:
        return ()
    try:
        return find(apdu)
    except IndexError:
        return ((1, len(apdu)),)


def _in_aarq(apdu: bytes) -> Spans:
    """A password (a challenge is none), and the dedicated key where the InitiateRequest is in clear."""
    challenge = False
    found: list[tuple[int, int]] = []
    at, end = _value(apdu, 0)
    while at < end:
        tag = apdu[at]
        begin, after = _value(apdu, at)
        if tag == _MECHANISM:
            challenge = apdu[after - 1] > _LLS
        elif tag == _AUTHENTICATION_VALUE and not challenge:
            found.append((begin, after))
        elif tag == _USER_INFORMATION:
            inner, inner_end = _value(apdu, begin)
            if apdu[inner] == _INITIATE and apdu[inner + 1]:
                found.append((inner + 2, inner_end))
        at = after
    return tuple(found)


def _value(octets: bytes, at: int) -> tuple[int, int]:
    """From where to where the value of the BER element at `at` goes; IndexError where it goes beyond the end."""
    size, begin = octets[at + 1], at + 2
    if size & 0x80:
        more = size & 0x7F
        size, begin = int.from_bytes(octets[begin : begin + more], "big"), begin + more
    if begin + size > len(octets):
        raise IndexError
    return begin, begin + size


def _in_request(apdu: bytes) -> Spans:
    """The data of a SET or ACTION on a class that holds secrets; all of a list or a block, which may carry any."""
    normal, class_id = apdu[1] == 1, int.from_bytes(apdu[3:5], "big")
    if not normal:
        return ((2, len(apdu)),)
    return ((12, len(apdu)),) if class_id in SECRET_CLASSES else ()


def _in_access(apdu: bytes) -> Spans:
    return ((1, len(apdu)),)


def _behind_gateway(apdu: bytes) -> Spans:
    start = 3 + apdu[2]
    return tuple((start + begin, start + end) for begin, end in secret_places(apdu[start:]))


_FINDERS: Final[Mapping[int, Callable[[bytes], Spans]]] = {
    _AARQ: _in_aarq,
    _SET: _in_request,
    _ACTION: _in_request,
    _ACCESS: _in_access,
    _GATEWAY: _behind_gateway,
}
