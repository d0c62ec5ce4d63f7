"""Key pairs on P-256 (security suite 1) and P-384 (suite 2), and ECDSA (Green Book, clause 9.2.3.4; FIPS 186-4).

DLMS writes all of it raw: a private key is d, a public key x || y, a signature r || s, each number of 32 or 48 octets.
One key pair signs, another one agrees on keys: the standard never uses one for both.
"""

from __future__ import annotations

from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from drivers.dlms.security.suites import SUITES, Suite
from profiles.errors import SecurityError, SettingsError

_SUITES_BY_NUMBER = {32: SUITES[1], 48: SUITES[2]}


class PublicKey:
    """x || y of a point on the suite's curve: 64 octets in suite 1, 96 in suite 2. SecurityError on anything else."""

    __slots__ = ("_key", "octets", "suite")

    def __init__(self, octets: bytes) -> None:
        self.octets = bytes(octets)
        self.suite = _suite(len(octets) / 2, SecurityError("a public key has 64 or 96 octets", retry=False))
        assert self.suite.curve is not None
        try:
            self._key = ec.EllipticCurvePublicKey.from_encoded_point(self.suite.curve, b"\x04" + self.octets)
        except ValueError:
            raise SecurityError("a public key that is no point on its curve") from None

    def verify(self, signature: bytes, message: bytes) -> None:
        """SecurityError unless `signature` (r || s) is that of `message` by the owner of this key."""
        half = len(self.octets) // 2
        if len(signature) != 2 * half:
            raise SecurityError(f"a signature of {len(signature)} octets, {2 * half} are those of {self.suite.name}")
        r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        assert self.suite.hash is not None
        try:
            self._key.verify(encode_dss_signature(r, s), message, ec.ECDSA(self.suite.hash))
        except InvalidSignature:
            raise SecurityError(
                "the signature does not fit", remedy="another signing key than the registered one, or altered data"
            ) from None

    @property
    def point(self) -> ec.EllipticCurvePublicKey:
        return self._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.octets == self.octets

    def __hash__(self) -> int:
        return hash(self.octets)

    def __repr__(self) -> str:
        return f"PublicKey({self.octets[:4].hex()}…)"


class PrivateKey:
    """d of a key pair: 32 octets in suite 1, 48 in suite 2; shows itself nowhere and does not pickle.

    SettingsError, without the octets, where they are no private key.
    """

    __slots__ = ("_key", "public", "suite")

    def __init__(self, octets: bytes) -> None:
        self.suite = _suite(len(octets), SettingsError(f"a private key has 32 or 48 octets, not {len(octets)}"))
        assert self.suite.curve is not None
        try:
            self._key = ec.derive_private_key(int.from_bytes(octets, "big"), self.suite.curve)
        except ValueError:
            raise SettingsError("the private key is not in the range of its curve") from None
        self.public = PublicKey(_numbers(self._key.public_key(), len(octets)))

    @classmethod
    def generate(cls, suite: Suite) -> PrivateKey:
        """A new key pair; SecurityError in suite 0, which has none."""
        if suite.curve is None:
            raise SecurityError(f"{suite.name} has no key pairs")
        size = suite.curve.key_size // 8
        return cls(ec.generate_private_key(suite.curve).private_numbers().private_value.to_bytes(size, "big"))

    @property
    def octets(self) -> bytes:
        return self._key.private_numbers().private_value.to_bytes(len(self.public.octets) // 2, "big")

    def sign(self, message: bytes) -> bytes:
        """r || s over `message`, hashed with the suite's hash."""
        assert self.suite.hash is not None
        size = len(self.public.octets) // 2
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(self.suite.hash)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def exchange(self, peer: PublicKey) -> bytes:
        """Z, the shared secret of ECC CDH (NIST SP 800-56A, 5.7.1.2): the point's x; SecurityError across suites."""
        if peer.suite is not self.suite:
            raise SecurityError(f"a key pair of {self.suite.name} and a public key of {peer.suite.name}")
        return self._key.exchange(ec.ECDH(), peer.point)

    def __repr__(self) -> str:
        return "PrivateKey(redacted)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a PrivateKey is not pickled or copied")


def _suite(size: float, error: SecurityError | SettingsError) -> Suite:
    for octets, suite in _SUITES_BY_NUMBER.items():
        if size == octets:
            return suite
    raise error


def _numbers(key: ec.EllipticCurvePublicKey, size: int) -> bytes:
    numbers = key.public_numbers()
    return numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")
