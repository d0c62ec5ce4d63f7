"""How each side of an association proves itself to the other: HLS mechanisms 2 to 7 (Green Book, clause 9.2.7.4).

Each side sends a challenge (passes 1 and 2) and answers the other's (3 and 4). `answer_challenge` and `check_answer`
look up one table; every function of it sees the exchange from the side that proves itself:

    2  AES-128-ECB of the challenge                 (as Indian meters do it)
    3  MD5(challenge || secret)
    4  SHA-1(challenge || secret)
    5  SC || IC || GMAC(SC || AK || challenge)
    6  SHA-256(secret || prover's title || verifier's title || challenge || the prover's own challenge)
    7  ECDSA(prover's title || verifier's title || challenge || the prover's own challenge)
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from drivers.dlms.security.gcm import HEADER_OCTETS, TAG_OCTETS, TITLE_OCTETS, protect, unprotect
from drivers.dlms.security.keys import Key, Secret
from drivers.dlms.security.signing import PrivateKey, PublicKey
from drivers.dlms.security.suites import AUTHENTICATION, SUITE_BITS
from profiles.errors import SecurityError

CHALLENGE_OCTETS: Final = dict.fromkeys(range(2, 7), (8, 64)) | {7: (32, 64)}
"""mechanism: least and most octets of a challenge."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What one side has to answer, and who asks whom."""

    octets: bytes
    """The verifier's challenge: the one that is answered."""
    prover_challenge: bytes = b""
    """The prover's own, which mechanisms 6 and 7 bind in."""
    prover_title: bytes = b""
    verifier_title: bytes = b""


@dataclass(frozen=True, slots=True)
class HlsKeys:
    """What the mechanism in use needs, of one side; the rest stays empty."""

    secret: Secret | None = None
    encryption_key: Key | None = None
    authentication_key: Key | None = None
    suite: int = 0
    """For GMAC."""
    signing_key: PrivateKey | None = None
    """Our own."""
    peer_signing_key: PublicKey | None = None


TakeCounter = Callable[[], int]
"""Gives an unused invocation counter; called by GMAC alone."""


def answer_challenge(mechanism: int, keys: HlsKeys, challenge: Challenge, take_counter: TakeCounter) -> bytes:
    """Our answer to the other side's challenge; SecurityError where a key is missing or the challenge is unfit."""
    return _mechanism(mechanism, challenge)[0](keys, challenge, take_counter)


def check_answer(mechanism: int, keys: HlsKeys, challenge: Challenge, given: bytes) -> int | None:
    """SecurityError unless `given` answers our challenge. Returns the invocation counter that it took, if it did."""
    return _mechanism(mechanism, challenge)[1](keys, challenge, given)


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
    if security_control & ~SUITE_BITS != AUTHENTICATION:
        raise SecurityError(f"HLS-GMAC uses security control 0x10, not 0x{security_control:02x}")
    _check_size(challenge, 5)
    protected = protect(security_control, encryption_key, authentication_key, system_title, counter, challenge)
    return protected[:HEADER_OCTETS] + protected[-TAG_OCTETS:]


def check_gmac(
    encryption_key: Key,
    authentication_key: Key,
    system_title: bytes,
    challenge: bytes,
    answer: bytes,
    last_counter: int | None,
    *,
    suite: int = 0,
) -> int:
    """The invocation counter of the other side's answer to our challenge; SecurityError if the answer is wrong."""
    _check_size(challenge, 5)
    if len(answer) != HEADER_OCTETS + TAG_OCTETS:
        raise SecurityError(f"an HLS-GMAC answer of {len(answer)} octets, not {HEADER_OCTETS + TAG_OCTETS}")
    protected = answer[:HEADER_OCTETS] + challenge + answer[HEADER_OCTETS:]
    control = AUTHENTICATION | suite
    return unprotect(control, encryption_key, authentication_key, system_title, protected, last_counter).counter


def hls2(secret: Secret, challenge: bytes) -> bytes:
    """The answer to a challenge of HLS mechanism 2 as Indian meters do it: AES-128-ECB of the challenge.

    Secret and challenge are filled up with zeros to 16 octets, and to a multiple of 16.
    """
    _check_size(challenge, 2)
    key = secret.octets
    if not 0 < len(key) <= 16:
        raise SecurityError(f"an HLS secret of {len(key)} octets, 1 to 16 can be an AES-128 key")
    blocks = challenge.ljust(-(-len(challenge) // 16) * 16, b"\x00")
    # ECB is what the meters do; each block is used once.
    encryptor = Cipher(algorithms.AES(key.ljust(16, b"\x00")), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(blocks) + encryptor.finalize()


def check_hls2(secret: Secret, challenge: bytes, answer: bytes) -> None:
    """SecurityError unless `answer` answers our challenge; compared in constant time."""
    _check_equal(hls2(secret, challenge), answer)


# --- the table ------------------------------------------------------------------------------------------------

_Answer = Callable[[HlsKeys, Challenge, TakeCounter], bytes]
_Check = Callable[[HlsKeys, Challenge, bytes], int | None]


def _aes(keys: HlsKeys, challenge: Challenge) -> bytes:
    return hls2(_secret(keys), challenge.octets)


def _md5(keys: HlsKeys, challenge: Challenge) -> bytes:
    return _digest(hashes.MD5(), challenge.octets, _secret(keys).octets)  # noqa: S303


def _sha1(keys: HlsKeys, challenge: Challenge) -> bytes:
    return _digest(hashes.SHA1(), challenge.octets, _secret(keys).octets)  # noqa: S303


def _sha256(keys: HlsKeys, challenge: Challenge) -> bytes:
    return _digest(hashes.SHA256(), _secret(keys).octets, _bound(challenge))


def _answer_gmac(keys: HlsKeys, challenge: Challenge, take_counter: TakeCounter) -> bytes:
    encryption_key, authentication_key = _gmac_keys(keys)
    control = AUTHENTICATION | keys.suite
    return gmac(control, encryption_key, authentication_key, challenge.prover_title, take_counter(), challenge.octets)


def _check_gmac(keys: HlsKeys, challenge: Challenge, given: bytes) -> int:
    # Fresh by our challenge; whether its counter is new besides is for the caller, who knows the order of passes.
    return check_gmac(*_gmac_keys(keys), challenge.prover_title, challenge.octets, given, None, suite=keys.suite)


def _answer_ecdsa(keys: HlsKeys, challenge: Challenge, take_counter: TakeCounter) -> bytes:
    if keys.signing_key is None:
        raise SecurityError("HLS-ECDSA needs our private signing key")
    return keys.signing_key.sign(_bound(challenge))


def _check_ecdsa(keys: HlsKeys, challenge: Challenge, given: bytes) -> None:
    if keys.peer_signing_key is None:
        raise SecurityError("HLS-ECDSA needs the other side's public signing key")
    keys.peer_signing_key.verify(given, _bound(challenge))


def _by_secret(function: Callable[[HlsKeys, Challenge], bytes]) -> tuple[_Answer, _Check]:
    """Where both sides know the secret, to check an answer is to compute it."""

    def answer_it(keys: HlsKeys, challenge: Challenge, take_counter: TakeCounter) -> bytes:
        return function(keys, challenge)

    def check_it(keys: HlsKeys, challenge: Challenge, given: bytes) -> None:
        _check_equal(function(keys, challenge), given)

    return answer_it, check_it


MECHANISMS: Final[dict[int, tuple[_Answer, _Check]]] = {
    2: _by_secret(_aes),
    3: _by_secret(_md5),
    4: _by_secret(_sha1),
    5: (_answer_gmac, _check_gmac),
    6: _by_secret(_sha256),
    7: (_answer_ecdsa, _check_ecdsa),
}


def _mechanism(mechanism: int, challenge: Challenge) -> tuple[_Answer, _Check]:
    known = MECHANISMS.get(mechanism)
    if known is None:
        raise SecurityError(f"authentication mechanism {mechanism} is no HLS mechanism that is supported (2 to 7)")
    _check_size(challenge.octets, mechanism)
    if mechanism in (6, 7):
        _check_size(challenge.prover_challenge, mechanism)
    return known


def _bound(challenge: Challenge) -> bytes:
    for title in (challenge.prover_title, challenge.verifier_title):
        if len(title) != TITLE_OCTETS:
            raise SecurityError(f"this HLS mechanism needs both system titles, of {TITLE_OCTETS} octets")
    return challenge.prover_title + challenge.verifier_title + challenge.octets + challenge.prover_challenge


def _digest(algorithm: hashes.HashAlgorithm, *parts: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    for part in parts:
        digest.update(part)
    return digest.finalize()


def _secret(keys: HlsKeys) -> Secret:
    if keys.secret is None or not keys.secret.octets:
        raise SecurityError("this HLS mechanism needs the HLS secret")
    return keys.secret


def _gmac_keys(keys: HlsKeys) -> tuple[Key, Key]:
    if keys.encryption_key is None or keys.authentication_key is None:
        raise SecurityError("HLS-GMAC needs an encryption and an authentication key")
    return keys.encryption_key, keys.authentication_key


def _check_equal(expected: bytes, given: bytes) -> None:
    if not hmac.compare_digest(expected, given):
        raise SecurityError("the meter's answer to our challenge is wrong", remedy="is the HLS secret the meter's?")


def _check_size(challenge: bytes, mechanism: int) -> None:
    least, most = CHALLENGE_OCTETS[mechanism]
    if not least <= len(challenge) <= most:
        raise SecurityError(f"a challenge of {len(challenge)} octets, {least} to {most} are allowed")
