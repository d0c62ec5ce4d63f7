"""Opening what is protected, for people who look: with an encryption key alone, or with both keys.

The one rule: this is no receive policy. What opens is shown, and `verified` says whether its tag was checked and fits;
what carries no tag, or could not be checked for want of a key, is not verified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from drivers.dlms.security import AUTHENTICATION, BOTH, COMPRESSION, ENCRYPTION, TAG_OCTETS, Key, unprotect
from drivers.dlms.security.gcm import HEADER_OCTETS
from drivers.dlms.security.suites import BROADCAST, SUITE_BITS
from profiles.errors import SecurityError


@dataclass(frozen=True, slots=True)
class Keys:
    """What the one who asks knows: keys, and the system title of the meter (empty where not known)."""

    encryption: Key | None = None
    authentication: Key | None = None
    system_title: bytes = b""
    master: Key | None = None


@dataclass(frozen=True, slots=True)
class Security:
    """How an APDU was protected. `system_title` is the sender's, empty where it is not known."""

    control: int | None
    system_title: bytes
    counter: int | None
    verified: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "control": self.control,
            "system_title": self.system_title.hex() or None,
            "counter": self.counter,
            "verified": self.verified,
        }


@dataclass(frozen=True, slots=True)
class Opened:
    """What came of opening. `plain` is None where it stays closed; `remark` then says why, or what is not as it should
    be. `refused`: a key was there and did not fit."""

    security: Security
    plain: bytes | None = field(default=None, repr=False)
    remark: str = ""
    refused: bool = False


_TEXTS: Final = {AUTHENTICATION: "authenticated", ENCRYPTION: "encrypted", BOTH: "authenticated, encrypted"}


def control_text(control: int) -> str:
    """A security control octet in words."""
    parts = [_TEXTS.get(control & BOTH, "neither authenticated nor encrypted"), f"suite {control & SUITE_BITS}"]
    parts += ["broadcast key"] if control & BROADCAST else []
    parts += ["compressed"] if control & COMPRESSION else []
    return ", ".join(parts)


def open_content(
    content: bytes,
    key: Key | None,
    authentication_key: Key | None,
    titles: Iterable[bytes],
    reads: Callable[[bytes], bool],
    *,
    fields: bytes = b"",
    missing: str = "",
    refused: bool = False,
) -> Opened:
    """What `content` (SC || IC || … [|| tag]) holds under one of the titles, if `reads` says that it is an APDU.

    `fields` is the header of general-ciphering, authenticated along; `missing` says why there is no key, `refused`
    that one was given for it and does not do.
    """
    titles = [title for title in dict.fromkeys(titles) if title]
    first = titles[0] if titles else b""
    if len(content) < HEADER_OCTETS:
        return Opened(Security(None, first, None, False), remark="ends inside its security header", refused=True)
    control, counter = content[0], int.from_bytes(content[1:HEADER_OCTETS], "big")

    def closed(remark: str, *, refused: bool = False) -> Opened:
        return Opened(Security(control, first, counter, False), None, remark, refused)

    if control & COMPRESSION:
        return closed("compressed (ITU-T V.44), which is not supported")
    if not control & BOTH:
        return closed(f"security control {control:02x} says neither authenticated nor encrypted", refused=True)
    if control & AUTHENTICATION and len(content) < HEADER_OCTETS + TAG_OCTETS:
        return closed("ends inside its tag", refused=True)
    if control & ENCRYPTION:
        if key is None:
            return closed(missing, refused=refused)
        if not titles:
            return closed("the sender's system title is not in the capture: --system-title gives it")
    try:
        for title in titles:
            plain = _verified(content, key, authentication_key, title, fields)
            if plain is not None and reads(plain):
                return Opened(Security(control, title, counter, True), plain)
        for title in titles or [b""]:
            plain = _unverified(content, key, title)
            if reads(plain):
                remark = _doubt(control, bool(titles and key and authentication_key))
                return Opened(Security(control, title, counter, False), plain, remark)
    except SecurityError as error:
        return closed(error.message, refused=True)
    return closed(f"wrong key, or its sender is not {_names(titles)}: it does not open", refused=True)


def _verified(
    content: bytes, key: Key | None, authentication_key: Key | None, title: bytes, fields: bytes
) -> bytes | None:
    """What a fitting tag vouches for; None where there is no tag, no key for it, or where it does not fit."""
    if not content[0] & AUTHENTICATION or key is None or authentication_key is None:
        return None
    if len(key.octets) != len(authentication_key.octets):
        raise SecurityError("encryption and authentication key are not of one length")
    try:
        return unprotect(content[0], key, authentication_key, title, content, None, fields).plain
    except SecurityError:
        return None


def _unverified(content: bytes, key: Key | None, title: bytes) -> bytes:
    """What is inside, whatever the tag says; SecurityError where the key or the suite can't be used."""
    body = content[HEADER_OCTETS : -TAG_OCTETS if content[0] & AUTHENTICATION else None]
    if not content[0] & ENCRYPTION:
        return body
    assert key is not None
    control = content[0] & ~BOTH | ENCRYPTION
    return unprotect(control, key, key, title, bytes([control]) + content[1:HEADER_OCTETS] + body, None).plain


def _doubt(control: int, checked: bool) -> str:
    if not control & AUTHENTICATION:
        return "no tag: nobody can tell whether it was altered"
    if not checked:
        return "tag not checked: that takes both keys and the sender's system title"
    return "the tag does not fit: wrong authentication key, or altered"


def _names(titles: list[bytes]) -> str:
    return " or ".join(title.hex().upper() for title in titles)
