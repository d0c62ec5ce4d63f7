"""Where the key of a general-ciphering APDU comes from (Green Book, clause 9.2.3.4.6).

    shared      both have it; key-info names it                 identified-key, or no key-info
    wrapped     made for one APDU and sent with it              wrapped-key, by the key encryption key (RFC 3394)
    one-pass    agreed for one APDU, one side's key ephemeral   agreed-key 01, C(1e, 1s)
    static      agreed from both sides' static keys             agreed-key 02, C(0e, 2s), new by the transaction-id

An agreed key is NIST SP 800-56A's: Z by ECC CDH, then the concatenation key derivation over

    AlgorithmID || PartyUInfo || PartyVInfo
    U  title of the originator, in C(0e, 2s) followed by the transaction-id with its length
    V  title of the recipient
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

from drivers.dlms import axdr
from drivers.dlms.apdu import AgreedKey, GeneralHeader, IdentifiedKey, KeyInfo, WrappedKey
from drivers.dlms.security.key_wrap import KeyId, unwrap_key, wrap_key
from drivers.dlms.security.keys import Key
from drivers.dlms.security.signing import PrivateKey, PublicKey
from drivers.dlms.security.suites import Suite
from profiles.errors import SecurityError

ONE_PASS: Final = b"\x01"
STATIC_UNIFIED: Final = b"\x02"
_MASTER_KEK: Final = 0


def derive_key(suite: Suite, z: bytes, party_u: bytes, party_v: bytes) -> Key:
    """The AES-GCM key of the suite from the shared secret `z` (NIST SP 800-56A, 5.8.1); SecurityError in suite 0."""
    if suite.hash is None:
        raise SecurityError(f"{suite.name} has no key agreement")
    other_info = suite.gcm_algorithm + party_u + party_v
    return Key(ConcatKDFHash(algorithm=suite.hash, length=suite.key_octets, otherinfo=other_info).derive(z))


class KeySource(Protocol):
    """How sender and receiver come by the key of one APDU."""

    one_off: ClassVar[bool]
    """Whether every APDU has a key of its own, so that its invocation counter says nothing about the ones before."""

    def for_sending(self, suite: Suite, header: GeneralHeader) -> tuple[KeyInfo, Key]:
        """The key, and what tells the recipient which it is."""

    def for_receiving(self, suite: Suite, header: GeneralHeader, key_info: KeyInfo | None) -> Key:
        """The key of an APDU received; SecurityError where it came by it in another way than agreed."""


@dataclass(frozen=True, slots=True)
class SharedKey:
    """The global unicast or broadcast key that both have."""

    one_off: ClassVar[bool] = False

    key: Key
    key_id: KeyId = KeyId.GLOBAL_UNICAST_ENCRYPTION

    def for_sending(self, suite: Suite, header: GeneralHeader) -> tuple[KeyInfo, Key]:
        return IdentifiedKey(self.key_id), self.key

    def for_receiving(self, suite: Suite, header: GeneralHeader, key_info: KeyInfo | None) -> Key:
        if key_info is not None and key_info != IdentifiedKey(self.key_id):
            raise _another_key(key_info, f"identified key {self.key_id.value}")
        return self.key


@dataclass(frozen=True, slots=True)
class KeyByWrapping:
    """A random key for each APDU, wrapped by the master key."""

    one_off: ClassVar[bool] = True

    kek: Key

    def for_sending(self, suite: Suite, header: GeneralHeader) -> tuple[KeyInfo, Key]:
        key = Key.generate(suite.key_octets)
        return WrappedKey(_MASTER_KEK, wrap_key(self.kek, key)), key

    def for_receiving(self, suite: Suite, header: GeneralHeader, key_info: KeyInfo | None) -> Key:
        if not isinstance(key_info, WrappedKey) or key_info.kek_id != _MASTER_KEK:
            raise _another_key(key_info, "a key wrapped by the master key")
        return unwrap_key(self.kek, key_info.ciphered_key)


@dataclass(frozen=True, slots=True)
class KeyByOnePass:
    """C(1e, 1s): the sender's ephemeral key pair, signed, and the recipient's static one."""

    one_off: ClassVar[bool] = True

    signing_key: PrivateKey
    """Ours: signs the ephemeral key that we send."""
    agreement_key: PrivateKey
    """Ours: static, for what we receive."""
    peer_signing_key: PublicKey
    peer_agreement_key: PublicKey

    def for_sending(self, suite: Suite, header: GeneralHeader) -> tuple[KeyInfo, Key]:
        ephemeral = PrivateKey.generate(suite)
        public = ephemeral.public.octets
        key_info = AgreedKey(ONE_PASS, public + self.signing_key.sign(public))
        return key_info, _agreed(suite, ephemeral, self.peer_agreement_key, header)

    def for_receiving(self, suite: Suite, header: GeneralHeader, key_info: KeyInfo | None) -> Key:
        if not isinstance(key_info, AgreedKey) or key_info.parameters != ONE_PASS:
            raise _another_key(key_info, "a key agreed by the one-pass scheme")
        size = len(self.agreement_key.public.octets)
        if len(key_info.ciphered_data) != 2 * size:
            raise SecurityError(
                f"{len(key_info.ciphered_data)} octets for the one-pass scheme, not an ephemeral key and its signature"
            )
        public, signature = key_info.ciphered_data[:size], key_info.ciphered_data[size:]
        self.peer_signing_key.verify(signature, public)
        return _agreed(suite, self.agreement_key, PublicKey(public), header)


@dataclass(frozen=True, slots=True)
class KeyByStaticUnified:
    """C(0e, 2s): both sides' static key pairs; the transaction-id, never used twice, makes each key another."""

    one_off: ClassVar[bool] = True

    agreement_key: PrivateKey
    """Ours."""
    peer_agreement_key: PublicKey

    def for_sending(self, suite: Suite, header: GeneralHeader) -> tuple[KeyInfo, Key]:
        return AgreedKey(STATIC_UNIFIED, b""), self._key(suite, header)

    def for_receiving(self, suite: Suite, header: GeneralHeader, key_info: KeyInfo | None) -> Key:
        if key_info != AgreedKey(STATIC_UNIFIED, b""):
            raise _another_key(key_info, "a key agreed by the static unified model")
        return self._key(suite, header)

    def _key(self, suite: Suite, header: GeneralHeader) -> Key:
        nonce = header.transaction_id
        if not nonce:
            raise SecurityError("the static unified model needs a transaction-id, which renews its key")
        return _agreed(suite, self.agreement_key, self.peer_agreement_key, header, axdr.length(len(nonce)) + nonce)


def _agreed(suite: Suite, own: PrivateKey, peer: PublicKey, header: GeneralHeader, nonce: bytes = b"") -> Key:
    if own.suite is not suite:
        raise SecurityError(f"a key pair of {own.suite.name} for an APDU of {suite.name}")
    party_u = header.originator_system_title + nonce
    return derive_key(suite, own.exchange(peer), party_u, header.recipient_system_title)


def _another_key(key_info: KeyInfo | None, wanted: str) -> SecurityError:
    came = "no key-info" if key_info is None else type(key_info).__name__
    return SecurityError(f"{came} where {wanted} is required")
