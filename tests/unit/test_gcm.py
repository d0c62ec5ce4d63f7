"""AES-GCM against NIST's vectors and against a GCM of the test's own over the openssl program's AES."""

from __future__ import annotations

import subprocess

import pytest

from drivers.dlms import security
from drivers.dlms.security import AUTHENTICATION, BOTH, BROADCAST, ENCRYPTION, Key
from profiles.errors import SecurityError

# McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 3 (AES-128) and 15 (AES-256).
KEY = "feffe9928665731c6d6a8f9467308308"
TITLE = bytes.fromhex("cafebabefacedbad")
COUNTER = 0xDECAF888
PLAIN = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)
CIPHERTEXT_128 = (
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
)
CIPHERTEXT_256 = (
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
)
TAG_128 = "4d5c2af327cd64a62cf35abd2ba6fab4"
TAG_256 = "b094dac5d93471bdec1a502270e3cc6c"
LONG = bytes(range(256)) * 4 + b"and some more"


def blocks(key: bytes, plain: bytes) -> bytes:
    """AES of each block, by the openssl program."""
    command = ["openssl", "enc", f"-aes-{8 * len(key)}-ecb", "-nopad", "-K", key.hex()]
    return subprocess.run(command, input=plain, capture_output=True, check=True, timeout=60).stdout


def times(left: int, right: int) -> int:
    """The product in GCM's field (NIST SP 800-38D, 6.3)."""
    product = 0
    for bit in range(128):
        if left >> (127 - bit) & 1:
            product ^= right
        right = right >> 1 ^ (0xE1 << 120 if right & 1 else 0)
    return product


def gcm(key: bytes, iv: bytes, plain: bytes, associated: bytes) -> tuple[bytes, bytes]:
    """(ciphertext, tag of 16 octets) as NIST SP 800-38D, 7.1 puts it."""
    count = -(-len(plain) // 16)
    counters = b"".join(iv + number.to_bytes(4, "big") for number in range(1, count + 2))
    made = blocks(key, bytes(16) + counters)
    subkey, mask, stream = int.from_bytes(made[:16], "big"), int.from_bytes(made[16:32]), made[32:]
    ciphertext = bytes(one ^ other for one, other in zip(plain, stream, strict=False))
    hashed = b"".join(part + bytes(-len(part) % 16) for part in (associated, ciphertext))
    hashed += (8 * len(associated)).to_bytes(8) + (8 * len(ciphertext)).to_bytes(8)
    digest = 0
    for start in range(0, len(hashed), 16):
        digest = times(digest ^ int.from_bytes(hashed[start : start + 16], "big"), subkey)
    return ciphertext, (digest ^ mask).to_bytes(16)


@pytest.mark.parametrize(
    ("key", "ciphertext", "tag"), [(KEY, CIPHERTEXT_128, TAG_128), (KEY * 2, CIPHERTEXT_256, TAG_256)]
)
def test_the_independent_gcm_makes_the_published_ciphertext_and_tag(key: str, ciphertext: str, tag: str) -> None:
    made = gcm(bytes.fromhex(key), TITLE + COUNTER.to_bytes(4, "big"), PLAIN, b"")
    assert (made[0].hex(), made[1].hex()) == (ciphertext, tag)


@pytest.mark.parametrize(
    ("suite", "key", "ciphertext"), [(0, KEY, CIPHERTEXT_128), (1, KEY, CIPHERTEXT_128), (2, KEY * 2, CIPHERTEXT_256)]
)
def test_the_ciphertext_is_the_published_one_in_both_directions(suite: int, key: str, ciphertext: str) -> None:
    control, encryption_key = ENCRYPTION | suite, Key.from_hex(key)
    protected = security.protect(control, encryption_key, encryption_key, TITLE, COUNTER, PLAIN)
    assert protected.hex() == f"{control:02x}decaf888{ciphertext}"
    assert security.unprotect(control, encryption_key, encryption_key, TITLE, protected, None).plain == PLAIN


@pytest.mark.parametrize("plain", [b"", b"\x01", PLAIN[:16], PLAIN, LONG])
@pytest.mark.parametrize("fields", [b"", bytes.fromhex("080102030405060708000000")])
@pytest.mark.parametrize("control", [0x10, 0x30, 0x31, 0x32, 0x12, 0x70])
def test_ciphertext_and_tag_are_those_of_the_independent_gcm(control: int, fields: bytes, plain: bytes) -> None:
    size = 32 if control & 0x0F == 2 else 16
    ek, ak = Key(bytes(range(size))), Key(bytes(range(0xD0, 0xD0 + size)))
    header = bytes([control]) + COUNTER.to_bytes(4, "big")
    associated = header[:1] + ak.octets + fields
    iv = TITLE + header[1:]
    if control & ENCRYPTION:
        body, tag = gcm(ek.octets, iv, plain, associated)
    else:
        body, tag = plain, gcm(ek.octets, iv, b"", associated + plain)[1]
    protected = header + body + tag[:12]
    assert security.protect(control, ek, ak, TITLE, COUNTER, plain, fields) == protected
    assert security.unprotect(control, ek, ak, TITLE, protected, COUNTER - 1, fields).plain == plain


def test_other_fields_than_the_authenticated_ones_are_refused() -> None:
    key = Key.from_hex(KEY)
    for control in (AUTHENTICATION, BOTH, BOTH | BROADCAST):
        protected = security.protect(control, key, key, TITLE, COUNTER, PLAIN, b"fields")
        for other in (b"", b"field", b"fieldt", b"fields" + b"\x00"):
            with pytest.raises(SecurityError, match="tag does not fit"):
                security.unprotect(control, key, key, TITLE, protected, None, other)
