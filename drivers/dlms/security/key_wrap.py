"""Keys on their way to a meter, wrapped by a key encryption key: AES key wrap (RFC 3394; Green Book, clause 9.2.3.3).

The key encryption key is the master key of the meter, and as long as the keys of its suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from drivers.dlms import axdr
from drivers.dlms.security.keys import Key
from profiles.errors import ProtocolError, SecurityError


class KeyId(IntEnum):
    """Which key of a meter, in the methods of Security setup (Blue Book, class 64)."""

    GLOBAL_UNICAST_ENCRYPTION = 0
    GLOBAL_BROADCAST_ENCRYPTION = 1
    AUTHENTICATION = 2
    MASTER = 3


def wrap_key(kek: Key, key: Key) -> bytes:
    """`key` wrapped by `kek`: 8 octets longer than the key. SecurityError where they are not of one suite."""
    _check_length(kek, len(key.octets))
    return aes_key_wrap(kek.octets, key.octets)


def unwrap_key(kek: Key, wrapped: bytes) -> Key:
    """The key inside; SecurityError where it was wrapped by another key, altered, or is of another suite."""
    _check_length(kek, len(wrapped) - 8)
    try:
        return Key(aes_key_unwrap(kek.octets, wrapped))
    except InvalidUnwrap:
        raise SecurityError(
            "the wrapped key does not unwrap", remedy="wrong key encryption key, or the wrapped key was altered"
        ) from None


def encode_key_transfer(kek: Key, keys: Mapping[KeyId, Key]) -> bytes:
    """The parameter of Security setup's method key_transfer (global_key_transfer in version 0): the keys, wrapped.

    array { structure { key_id: enum, key_wrapped: octet-string } }
    """
    return axdr.array(
        [axdr.structure(axdr.enum(key_id), axdr.octet_string(wrap_key(kek, key))) for key_id, key in keys.items()]
    )


def decode_key_transfer(kek: Key, parameter: bytes) -> dict[KeyId, Key]:
    """The keys of `encode_key_transfer`; ProtocolError on other data, SecurityError on what does not unwrap."""
    items = axdr.decode(parameter)
    keys: dict[KeyId, Key] = {}
    for item in items if isinstance(items, list) else [None]:
        match item:
            case axdr.Structure((int(number), bytes(wrapped))) if number in set(KeyId):
                keys[KeyId(number)] = unwrap_key(kek, wrapped)
            case _:
                raise ProtocolError("the parameter of a key transfer is an array of key-id and wrapped key")
    return keys


def _check_length(kek: Key, octets: int) -> None:
    if octets != len(kek.octets):
        raise SecurityError(f"a key of {octets} octets, and a key encryption key of {len(kek.octets)}")
