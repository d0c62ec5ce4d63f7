"""AES key wrap against RFC 3394, and keys on their way to a meter."""

from __future__ import annotations

import pytest

from drivers.dlms import axdr
from drivers.dlms.security import Key, KeyId, decode_key_transfer, encode_key_transfer, unwrap_key, wrap_key
from profiles.errors import ProtocolError, SecurityError

# RFC 3394, 4.1 (128 bits under 128) and 4.6 (256 bits under 256).
PUBLISHED = [
    (
        "000102030405060708090a0b0c0d0e0f",
        "00112233445566778899aabbccddeeff",
        "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5",
    ),
    (
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
        "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
    ),
]
KEK, KEY = Key.from_hex(PUBLISHED[0][0]), Key.from_hex(PUBLISHED[0][1])
WRAPPED = bytes.fromhex(PUBLISHED[0][2])


@pytest.mark.parametrize(("kek", "key", "wrapped"), PUBLISHED)
def test_a_key_is_wrapped_and_unwrapped_as_published(kek: str, key: str, wrapped: str) -> None:
    assert wrap_key(Key.from_hex(kek), Key.from_hex(key)).hex() == wrapped
    assert unwrap_key(Key.from_hex(kek), bytes.fromhex(wrapped)) == Key.from_hex(key)


def test_a_wrapped_key_altered_anywhere_or_wrapped_by_another_is_refused_without_a_key_being_shown() -> None:
    for place in range(len(WRAPPED)):
        altered = bytearray(WRAPPED)
        altered[place] ^= 0x01
        with pytest.raises(SecurityError, match="does not unwrap"):
            unwrap_key(KEK, bytes(altered))
    with pytest.raises(SecurityError, match="does not unwrap") as caught:
        unwrap_key(KEY, WRAPPED)
    assert KEY.octets.hex() not in str(caught.value).lower()


@pytest.mark.parametrize("size", [0, 7, 8, 16, 23, 25, 32, 40])
def test_a_wrapped_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(SecurityError, match=f"a key of {size - 8} octets"):
        unwrap_key(KEK, bytes(size))


def test_a_key_of_one_suite_is_not_wrapped_by_that_of_another() -> None:
    with pytest.raises(SecurityError, match="32 octets, and a key encryption key of 16"):
        wrap_key(KEK, Key(bytes(32)))


def test_keys_are_transferred_as_an_array_of_key_id_and_wrapped_key() -> None:
    data = encode_key_transfer(KEK, {KeyId.AUTHENTICATION: KEY})
    assert data.hex() == "0101" + "0202" + "1602" + "0918" + WRAPPED.hex()
    assert decode_key_transfer(KEK, data) == {KeyId.AUTHENTICATION: KEY}

    several = {KeyId.GLOBAL_UNICAST_ENCRYPTION: KEY, KeyId.MASTER: Key.generate(), KeyId.AUTHENTICATION: Key.generate()}
    assert decode_key_transfer(KEK, encode_key_transfer(KEK, several)) == several


@pytest.mark.parametrize(
    "data",
    [
        axdr.null(),
        axdr.structure(axdr.enum(0), axdr.octet_string(WRAPPED)),
        axdr.array([axdr.enum(0)]),
        axdr.array([axdr.structure(axdr.enum(4), axdr.octet_string(WRAPPED))]),
        axdr.array([axdr.structure(axdr.octet_string(WRAPPED), axdr.enum(0))]),
        axdr.array([axdr.structure(axdr.enum(0), axdr.octet_string(WRAPPED), axdr.null())]),
        b"\x01\x01",
    ],
)
def test_other_data_than_a_key_transfer_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_key_transfer(KEK, data)
