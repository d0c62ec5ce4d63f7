"""The three security suites (Green Book, clause 9.2.3.7), and the security control octet that names one.

    bits 0-3  security suite        bit 4  authenticated    bit 5  encrypted
    bit 6     key set: broadcast    bit 7  compressed

Compression (ITU-T V.44) is recognised and refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from profiles.errors import SecurityError

SUITE_BITS: Final = 0x0F
AUTHENTICATION: Final = 0x10
ENCRYPTION: Final = 0x20
BOTH: Final = AUTHENTICATION | ENCRYPTION
BROADCAST: Final = 0x40
COMPRESSION: Final = 0x80


@dataclass(frozen=True, slots=True)
class Suite:
    """One security suite; suite 0 has symmetric keys only, and so neither curve nor hash."""

    id: int
    key_octets: int
    """Of every symmetric key."""
    gcm_algorithm: bytes
    """AlgorithmID of AES-GCM with keys of this length, for the key derivation (Green Book, clause 9.2.3.4.6)."""
    curve: ec.EllipticCurve | None = None
    hash: hashes.HashAlgorithm | None = None

    @property
    def name(self) -> str:
        return f"security suite {self.id}"


_AES_GCM_128: Final = bytes.fromhex("60857405080300")
_AES_GCM_256: Final = bytes.fromhex("60857405080301")

SUITES: Final = {
    0: Suite(0, 16, _AES_GCM_128),
    1: Suite(1, 16, _AES_GCM_128, ec.SECP256R1(), hashes.SHA256()),
    2: Suite(2, 32, _AES_GCM_256, ec.SECP384R1(), hashes.SHA384()),
}


_BY_CONTROL: Final = {
    key_set | kind | suite.id: suite
    for suite in SUITES.values()
    for kind in (AUTHENTICATION, ENCRYPTION, BOTH)
    for key_set in (0, BROADCAST)
}


KEY_OCTETS: Final = {control: suite.key_octets for control, suite in _BY_CONTROL.items()}
"""Security control octet: the octets of its keys; those that can't be used are missing."""


def suite_of(control: int) -> Suite:
    """The suite that a security control octet names.

    SecurityError where it names none, asks for compression, or for neither authentication nor encryption.
    """
    suite = _BY_CONTROL.get(control)
    if suite is None:
        raise _unusable(control)
    return suite


def _unusable(control: int) -> SecurityError:
    if control & ~COMPRESSION in _BY_CONTROL:
        return SecurityError(
            f"security control 0x{control:02x} says compressed (ITU-T V.44)",
            remedy="compression is not supported: switch it off in the meter",
        )
    return SecurityError(
        f"security control 0x{control:02x} is none of 0x10, 0x20, 0x30",
        remedy="that, plus the suite (0 to 2), plus 0x40 for the broadcast key, is what is supported",
    )
