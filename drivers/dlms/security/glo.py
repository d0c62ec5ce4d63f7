"""Service-specific ciphered APDUs: the tag says which service is inside, and under which key (glo- or ded-).

The caller compares the first octet of the plain APDU with the tag that `glo_unwrap` or `ded_unwrap` named.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers.dlms import axdr
from drivers.dlms.apdu import tags
from profiles.errors import SecurityError


def glo_wrap(plain_apdu: bytes, protected: bytes) -> bytes:
    """The glo-ciphered APDU that carries `protected` in place of `plain_apdu`: tag, length, SC || IC || …

    SecurityError where the service has no glo form.
    """
    return _wrap(tags.GLO, "globally", plain_apdu, protected)


def ded_wrap(plain_apdu: bytes, protected: bytes) -> bytes:
    """Like `glo_wrap`, under the dedicated key of the association."""
    return _wrap(tags.DED, "dedicatedly", plain_apdu, protected)


def is_glo(apdu: bytes) -> bool:
    """Whether the APDU is one of the glo-ciphered ones that `glo_unwrap` takes."""
    return _is_ciphered(apdu, dedicated=False)


def is_ded(apdu: bytes) -> bool:
    """Whether the APDU is one of the ded-ciphered ones that `ded_unwrap` takes."""
    return _is_ciphered(apdu, dedicated=True)


def glo_unwrap(apdu: bytes) -> tuple[int, bytes]:
    """(tag that the plain APDU must begin with, SC || IC || …) of a glo-ciphered APDU.

    SecurityError where it isn't one (plaintext in a ciphered association), ProtocolError where its length is wrong.
    """
    return _unwrap(apdu, "globally", dedicated=False)


def ded_unwrap(apdu: bytes) -> tuple[int, bytes]:
    """Like `glo_unwrap`, for an APDU under the dedicated key of the association."""
    return _unwrap(apdu, "dedicatedly", dedicated=True)


def _is_ciphered(apdu: bytes, *, dedicated: bool) -> bool:
    known = tags.CIPHERED.get(apdu[0]) if apdu else None
    return known is not None and known[1] == dedicated


def _wrap(forms: Mapping[int, int], how: str, plain_apdu: bytes, protected: bytes) -> bytes:
    tag = forms.get(plain_apdu[0]) if plain_apdu else None
    if tag is None:
        raise SecurityError(f"the APDU {plain_apdu[:1].hex()} has no {how} ciphered form")
    return bytes([tag]) + axdr.length(len(protected)) + protected


def _unwrap(apdu: bytes, how: str, *, dedicated: bool) -> tuple[int, bytes]:
    if not _is_ciphered(apdu, dedicated=dedicated):
        raise SecurityError(f"an APDU {apdu[:1].hex() or '(empty)'} where a {how} ciphered one is required")
    reader = axdr.Reader(apdu, "ciphered APDU", 1)
    protected = reader.octets()
    reader.end()
    return tags.CIPHERED[apdu[0]][0], protected
