"""Symmetric keys and secrets, which show themselves nowhere: not in a log, an error, a repr, a dump or a pickle.

A `Key` keeps the AES-GCM cipher that is made from it, so that the key schedule is computed once and not per APDU.
"""

from __future__ import annotations

import hmac
import secrets
from typing import NoReturn

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from profiles.errors import SettingsError


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
    """An AES key: 16 octets in security suites 0 and 1, 32 octets in suite 2."""

    __slots__ = ("_gcm", "size")

    def __init__(self, octets: bytes) -> None:
        if len(octets) not in (16, 32):
            raise SettingsError(
                f"a key has 16 octets (32 hex digits), or 32 octets in security suite 2, not {len(octets)}"
            )
        super().__init__(octets)
        self.size = len(self._octets)
        self._gcm: AESGCM | None = None

    @classmethod
    def from_hex(cls, text: str) -> Key:
        """From 32 or 64 hex digits; SettingsError, without the text, on anything else."""
        return cls(_octets_of(text, cls.__name__))

    @classmethod
    def generate(cls, octets: int = 16) -> Key:
        """A random key: a dedicated key, a key for one APDU, a new key for a meter."""
        return cls(secrets.token_bytes(octets))

    @property
    def gcm(self) -> AESGCM:
        """AES-GCM under this key, made when first used. It keeps no state from one use to the next."""
        if self._gcm is None:
            self._gcm = AESGCM(self._octets)
        return self._gcm


def _octets_of(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise SettingsError(f"the {what.lower()} is not a row of hex digits") from None
