"""Security suite 0: AES-128-GCM protection of APDUs, GMAC, and the two HLS answers (Green Book, clause 9.2).

One rule: nothing here hands out a plaintext that was not checked as the caller requires. `unprotect` refuses any
other security control than the one asked for; the caller compares the first octet of the plain APDU with the tag
that `glo_unwrap` named, and keeps counters.

    IV   system title of the sender (8 octets) || invocation counter (4)
    AAD  0x30: SC || AK     0x10: SC || AK || plain APDU     0x20: none, and no tag either
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from drivers.dlms import axdr
from profiles.errors import SecurityError, SettingsError

AUTHENTICATION: Final = 0x10
ENCRYPTION: Final = 0x20
BOTH: Final = AUTHENTICATION | ENCRYPTION

TAG_OCTETS: Final = 12
TITLE_OCTETS: Final = 8
MAX_COUNTER: Final = 0xFFFF_FFFF
_HEADER_OCTETS: Final = 5

_GLO: Final = {
    0x01: 0x21,  # initiateRequest
    0x08: 0x28,  # initiateResponse
    0x0E: 0x2E,  # confirmedServiceError
    0xC0: 0xC8,  # get-request
    0xC1: 0xC9,  # set-request
    0xC2: 0xCA,  # event-notification-request
    0xC3: 0xCB,  # action-request
    0xC4: 0xCC,  # get-response
    0xC5: 0xCD,  # set-response
    0xC7: 0xCF,  # action-response
}
_PLAIN: Final = {glo: plain for plain, glo in _GLO.items()}


class Secret:
    """A password or HLS secret of any length; shows itself nowhere, compares in constant time, does not pickle."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = bytes(octets)

    @classmethod
    def from_hex(cls, text: str) -> Secret:
        """From hex digits; SettingsError, without the text, on anything else."""
        return cls(_octets_of(text, cls.__name__))

    @property
    def octets(self) -> bytes:
        return self._octets

    def __repr__(self) -> str:
        return f"{type(self).__name__}(redacted)"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return hash((type(self), self._octets))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not pickled or copied")


class Key(Secret):
    """An AES-128 key of suite 0: 16 octets."""

    __slots__ = ()

    def __init__(self, octets: bytes) -> None:
        if len(octets) != 16:
            raise SettingsError(f"a key of security suite 0 has 16 octets (32 hex digits), not {len(octets)}")
        super().__init__(octets)

    @classmethod
    def from_hex(cls, text: str) -> Key:
        """From 32 hex digits; SettingsError, without the text, on anything else."""
        return cls(_octets_of(text, cls.__name__))


def _octets_of(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise SettingsError(f"the {what.lower()} is not a row of hex digits") from None


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
) -> bytes:
    """SC || IC || ciphertext [|| tag], under our own system title and a counter that this key has never seen.

    SecurityError where the control, title or counter can't be used.
    """
    _check_control(security_control)
    iv = _iv(system_title, counter)
    control = bytes([security_control])
    header = control + iv[TITLE_OCTETS:]
    if security_control == ENCRYPTION:
        return header + _keystream(encryption_key, iv, plain)
    encryptor = _gcm(encryption_key, modes.GCM(iv)).encryptor()
    if security_control == AUTHENTICATION:
        encryptor.authenticate_additional_data(control + authentication_key.octets + plain)
        encryptor.finalize()
        return header + plain + encryptor.tag[:TAG_OCTETS]
    encryptor.authenticate_additional_data(control + authentication_key.octets)
    ciphertext = encryptor.update(plain)
    encryptor.finalize()
    return header + ciphertext + encryptor.tag[:TAG_OCTETS]


def unprotect(
    required_control: int,
    encryption_key: Key,
    authentication_key: Key,
    system_title: bytes,
    protected: bytes,
    last_counter: int | None,
) -> Unprotected:
    """The plain APDU of `protected` (SC || IC || ciphertext [|| tag]) from the sender with `system_title`.

    SecurityError where it is protected otherwise than required, where its counter is not above `last_counter`
    (None: not checked), or where its tag does not fit. The new counter is for the caller to keep.
    """
    _check_control(required_control)
    overhead = _HEADER_OCTETS + (TAG_OCTETS if required_control & AUTHENTICATION else 0)
    if not protected:
        raise SecurityError("a protected APDU without a single octet")
    if protected[0] != required_control:
        raise SecurityError(
            f"protected with security control 0x{protected[0]:02x}, 0x{required_control:02x} is required",
            remedy="the security policy of the meter differs from that of its type",
        )
    if len(protected) < overhead:
        raise SecurityError(f"a protected APDU of {len(protected)} octets, less than header and tag ({overhead})")
    counter = int.from_bytes(protected[1:_HEADER_OCTETS], "big")
    if last_counter is not None and counter <= last_counter:
        raise SecurityError(f"invocation counter {counter} is not above the last one, {last_counter}: replay refused")
    iv = _iv(system_title, counter)
    if required_control == ENCRYPTION:
        return Unprotected(_keystream(encryption_key, iv, protected[_HEADER_OCTETS:]), counter, authenticated=False)
    body, tag = protected[_HEADER_OCTETS:-TAG_OCTETS], protected[-TAG_OCTETS:]
    decryptor = _gcm(encryption_key, modes.GCM(iv, tag, min_tag_length=TAG_OCTETS)).decryptor()
    associated = protected[:1] + authentication_key.octets
    encrypted = bool(required_control & ENCRYPTION)
    decryptor.authenticate_additional_data(associated if encrypted else associated + body)
    plain = decryptor.update(body) if encrypted else body
    try:
        decryptor.finalize()
    except InvalidTag:
        raise SecurityError(
            "the authentication tag does not fit",
            remedy="wrong encryption or authentication key or system title, or the APDU was altered",
        ) from None
    return Unprotected(plain, counter, authenticated=True)


def glo_wrap(plain_apdu: bytes, protected: bytes) -> bytes:
    """The glo-ciphered APDU that carries `protected` in place of `plain_apdu`: tag, length, SC || IC || …

    SecurityError where the service has no glo form.
    """
    glo = _GLO.get(plain_apdu[0]) if plain_apdu else None
    if glo is None:
        raise SecurityError(f"the APDU {plain_apdu[:1].hex()} has no globally ciphered form")
    return bytes([glo]) + axdr.length(len(protected)) + protected


def is_glo(apdu: bytes) -> bool:
    """Whether the APDU is one of the glo-ciphered ones that `glo_unwrap` takes."""
    return apdu[:1] != b"" and apdu[0] in _PLAIN


def glo_unwrap(apdu: bytes) -> tuple[int, bytes]:
    """(tag that the plain APDU must begin with, SC || IC || …) of a glo-ciphered APDU.

    SecurityError where it isn't one (plaintext in a ciphered association), ProtocolError where its length is wrong.
    """
    if not is_glo(apdu):
        raise SecurityError(f"an APDU {apdu[:1].hex() or '(empty)'} where a globally ciphered one is required")
    reader = axdr.Reader(apdu, "ciphered APDU", 1)
    protected = reader.octets()
    reader.end()
    return _PLAIN[apdu[0]], protected


def gmac(
    security_control: int,
    encryption_key: Key,
    authentication_key: Key,
    system_title: bytes,
    counter: int,
    challenge: bytes,
) -> bytes:
    """The answer to an HLS-GMAC challenge, SC || IC || tag: pass 3 under our title, pass 4 under the meter's.

    It takes an invocation counter like any other protected octets.
    """
    if security_control != AUTHENTICATION:
        raise SecurityError(f"HLS-GMAC uses security control 0x10, not 0x{security_control:02x}")
    _check_challenge(challenge)
    protected = protect(security_control, encryption_key, authentication_key, system_title, counter, challenge)
    return protected[:_HEADER_OCTETS] + protected[-TAG_OCTETS:]


def check_gmac(
    encryption_key: Key,
    authentication_key: Key,
    system_title: bytes,
    challenge: bytes,
    answer: bytes,
    last_counter: int | None,
) -> int:
    """The invocation counter of the other side's answer to our challenge; SecurityError if the answer is wrong."""
    _check_challenge(challenge)
    if len(answer) != _HEADER_OCTETS + TAG_OCTETS:
        raise SecurityError(f"an HLS-GMAC answer of {len(answer)} octets, not {_HEADER_OCTETS + TAG_OCTETS}")
    protected = answer[:_HEADER_OCTETS] + challenge + answer[_HEADER_OCTETS:]
    return unprotect(AUTHENTICATION, encryption_key, authentication_key, system_title, protected, last_counter).counter


def hls2(secret: Secret, challenge: bytes) -> bytes:
    """The answer to a challenge of HLS mechanism 2 as Indian meters do it: AES-128-ECB of the challenge.

    Secret and challenge are filled up with zeros to 16 octets, and to a multiple of 16.
    """
    _check_challenge(challenge)
    key = secret.octets
    if not 0 < len(key) <= 16:
        raise SecurityError(f"an HLS secret of {len(key)} octets, 1 to 16 can be an AES-128 key")
    blocks = challenge.ljust(-(-len(challenge) // 16) * 16, b"\x00")
    # ECB is what the meters do; each block is used once.
    encryptor = Cipher(algorithms.AES(key.ljust(16, b"\x00")), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(blocks) + encryptor.finalize()


def check_hls2(secret: Secret, challenge: bytes, answer: bytes) -> None:
    """SecurityError unless `answer` answers our challenge; compared in constant time."""
    if not hmac.compare_digest(hls2(secret, challenge), answer):
        raise SecurityError("the meter's answer to our challenge is wrong", remedy="is the HLS secret the meter's?")


def _gcm(key: Key, mode: modes.GCM) -> Cipher[modes.GCM]:
    return Cipher(algorithms.AES(key.octets), mode)


def _keystream(key: Key, iv: bytes, octets: bytes) -> bytes:
    """GCM without its tag is counter mode from block 2 on; both directions are one."""
    return Cipher(algorithms.AES(key.octets), modes.CTR(iv + b"\x00\x00\x00\x02")).encryptor().update(octets)


def _iv(system_title: bytes, counter: int) -> bytes:
    if len(system_title) != TITLE_OCTETS:
        raise SecurityError(f"a system title has {TITLE_OCTETS} octets, not {len(system_title)}")
    if not 0 <= counter <= MAX_COUNTER:
        raise SecurityError(f"the invocation counter {counter} does not fit 32 bits: the key has to be changed")
    return system_title + counter.to_bytes(4, "big")


def _check_control(control: int) -> None:
    if control not in (AUTHENTICATION, ENCRYPTION, BOTH):
        raise SecurityError(
            f"security control 0x{control:02x} is none of 0x10, 0x20, 0x30",
            remedy="suite 0 with unicast keys and without compression is what is supported",
        )


def _check_challenge(challenge: bytes) -> None:
    if not 8 <= len(challenge) <= 64:
        raise SecurityError(f"a challenge of {len(challenge)} octets, 8 to 64 are allowed")
