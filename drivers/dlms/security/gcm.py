"""AES-GCM protection of APDUs with DLMS's 12-octet tag (Green Book, clause 9.2.7.2; NIST SP 800-38D).

One rule: nothing here hands out a plaintext that was not checked as the caller requires. `unprotect` refuses any
other security control than the one asked for; the caller compares the first octet of the plain APDU with the tag
that surrounded it, and keeps counters.

    IV   system title of the sender (8 octets) || invocation counter (4)
    AAD  0x30: SC || AK || fields     0x10: SC || AK || fields || plain APDU     0x20: none, and no tag either

`fields` is empty but for general-ciphering, where it is the header with its lengths.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from drivers.dlms.security.keys import Key
from drivers.dlms.security.suites import AUTHENTICATION, BOTH, ENCRYPTION, KEY_OCTETS, suite_of
from profiles.errors import SecurityError

TAG_OCTETS: Final = 12
TITLE_OCTETS: Final = 8
MAX_COUNTER: Final = 0xFFFF_FFFF
HEADER_OCTETS: Final = 5
"""Security control and invocation counter."""

_FULL_TAG: Final = 16
# Of the 16 octets that GCM makes, DLMS sends the first 12.
_SENT_TAG: Final = slice(-_FULL_TAG, TAG_OCTETS - _FULL_TAG)


@dataclass(frozen=True, slots=True)
class Unprotected:
    """A plain APDU and the sender's invocation counter; `authenticated` is False where there was no tag (0x20)."""

    plain: bytes = field(repr=False)
    counter: int
    authenticated: bool


def protect(
    security_control: int,
    encryption_key: Key,
    authentication_key: Key,
    system_title: bytes,
    counter: int,
    plain: bytes,
    fields: bytes = b"",
) -> bytes:
    """SC || IC || ciphertext [|| tag], under our own system title and a counter that this key has never seen.

    SecurityError where the control, the keys for it, the title or the counter can't be used.
    """
    size = KEY_OCTETS.get(security_control)
    if encryption_key.size != size or authentication_key.size != size:
        raise _unfit(security_control, encryption_key, authentication_key)
    iv = _iv(system_title, counter)
    control = security_control.to_bytes(1, "big")
    header = control + iv[TITLE_OCTETS:]
    gcm = encryption_key.gcm
    kind = security_control & BOTH
    if kind == BOTH:
        sealed = gcm.encrypt(iv, plain, control + authentication_key.octets + fields)
        return header + sealed[: TAG_OCTETS - _FULL_TAG]
    if kind == ENCRYPTION:
        return header + gcm.encrypt(iv, plain, None)[:-_FULL_TAG]
    return header + plain + gcm.encrypt(iv, b"", control + authentication_key.octets + fields + plain)[:TAG_OCTETS]


def unprotect(
    required_control: int,
    encryption_key: Key,
    authentication_key: Key,
    system_title: bytes,
    protected: bytes,
    last_counter: int | None,
    fields: bytes = b"",
) -> Unprotected:
    """The plain APDU of `protected` (SC || IC || ciphertext [|| tag]) from the sender with `system_title`.

    SecurityError where it is protected otherwise than required, where its counter is not above `last_counter`
    (None: not checked), or where its tag does not fit. The new counter is for the caller to keep.
    """
    size = KEY_OCTETS.get(required_control)
    if encryption_key.size != size or authentication_key.size != size:
        raise _unfit(required_control, encryption_key, authentication_key)
    counter = _read_header(required_control, protected)
    if last_counter is not None and counter <= last_counter:
        raise SecurityError(f"invocation counter {counter} is not above the last one, {last_counter}: replay refused")
    iv = _iv(system_title, counter)
    gcm = encryption_key.gcm
    kind = required_control & BOTH
    if kind == ENCRYPTION:
        # Counter mode: encrypting once more takes the encryption off.
        return Unprotected(gcm.encrypt(iv, protected[HEADER_OCTETS:], None)[:-_FULL_TAG], counter, authenticated=False)
    body, tag = protected[HEADER_OCTETS:-TAG_OCTETS], protected[-TAG_OCTETS:]
    associated = protected[:1] + authentication_key.octets + fields
    # The one-shot cipher checks tags of 16 octets only, and one that takes 12 costs three times as much. So the
    # plaintext is found by encrypting once more, and the tag made again from it as the sender made it.
    if kind == BOTH:
        plain = gcm.encrypt(iv, body, None)[:-_FULL_TAG]
        expected = gcm.encrypt(iv, plain, associated)[_SENT_TAG]
    else:
        plain = body
        expected = gcm.encrypt(iv, b"", associated + body)[_SENT_TAG]
    if not hmac.compare_digest(expected, tag):
        raise SecurityError(
            "the authentication tag does not fit",
            remedy="wrong encryption or authentication key or system title, or the APDU was altered",
        )
    return Unprotected(plain, counter, authenticated=True)


def _read_header(required_control: int, protected: bytes) -> int:
    """The invocation counter of what is protected as required and not too short."""
    if not protected:
        raise SecurityError("a protected APDU without a single octet")
    if protected[0] != required_control:
        raise SecurityError(
            f"protected with security control 0x{protected[0]:02x}, 0x{required_control:02x} is required",
            remedy="the security policy of the meter differs from that of its type",
        )
    overhead = HEADER_OCTETS + (TAG_OCTETS if required_control & AUTHENTICATION else 0)
    if len(protected) < overhead:
        raise SecurityError(f"a protected APDU of {len(protected)} octets, less than header and tag ({overhead})")
    return int.from_bytes(protected[1:HEADER_OCTETS], "big")


def _iv(system_title: bytes, counter: int) -> bytes:
    if len(system_title) != TITLE_OCTETS:
        raise SecurityError(f"a system title has {TITLE_OCTETS} octets, not {len(system_title)}")
    if not 0 <= counter <= MAX_COUNTER:
        raise SecurityError(f"the invocation counter {counter} does not fit 32 bits: the key has to be changed")
    return system_title + counter.to_bytes(4, "big")


def _unfit(control: int, *keys: Key) -> SecurityError:
    """What to raise where a control can't be used, or not with these keys."""
    suite = suite_of(control)
    wrong = next(key.size for key in keys if key.size != suite.key_octets)
    return SecurityError(f"{suite.name} has keys of {suite.key_octets} octets, not {wrong}")
