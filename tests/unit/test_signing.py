"""Key pairs, ECDSA and ECC CDH against RFC 6979, RFC 5903, the Green Book, and the openssl program."""

from __future__ import annotations

import copy
import pickle
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from drivers.dlms.security import SUITES, PrivateKey, PublicKey
from profiles.errors import SecurityError, SettingsError

# RFC 6979, A.2.5 and A.2.6: private key, public key, and the signature of "sample" with the suite's hash.
SAMPLES = [
    (
        "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    ),
    (
        "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
        "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13"
        "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
        "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46"
        "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
    ),
]
# RFC 5903, 8.1 and 8.2: both private keys, the first's public x, and the shared secret.
AGREED = [
    (
        "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
        "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
        "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180",
        "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
    ),
    (
        "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194",
        "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc",
        "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee95f41aa",
        "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746",
    ),
]
# Green Book, annex on key agreement: the client signs key-id 0 and its ephemeral public key.
GREEN_BOOK_PUBLIC = PublicKey(
    bytes.fromhex(
        "baaffde06a8cb1c9dae8d94023c601dbbb249254ba22edd827e820bca2bcc643"
        "62fbb83d86a82b87bb8b7161d2aab5521911a946b97a284a90f7785cd9047d25"
    )
)
GREEN_BOOK_PRIVATE = "418073c239fa6125011de4d6cd2e645780289f761bb21bfb0835cb5585e8b373"
GREEN_BOOK_MESSAGE = bytes.fromhex(
    "002914d60e10ab705f62ed6cc349d7cb99b9ab3f3978e59278c7af595b3af98794"
    "1372dab6d5af1fa867e134167e6f23de664a6693e05f43414611058d1b48f894"
)
GREEN_BOOK_SIGNATURE = bytes.fromhex(
    "06f0607702aa0e2435a183e2f6b1ecd19629712e389a213610c03f77b2590860"
    "ea840af5c3fa1f2bcdf055d4744e9a01ce9a0e55026bcaa4eebeb764ced64bb3"
)


@pytest.mark.parametrize(("private", "public", "signature"), SAMPLES)
def test_published_keys_and_signatures_are_read(private: str, public: str, signature: str) -> None:
    key = PrivateKey(bytes.fromhex(private))
    assert key.octets.hex() == private
    assert key.public.octets.hex() == public
    assert key.public == PublicKey(bytes.fromhex(public))
    key.public.verify(bytes.fromhex(signature), b"sample")
    with pytest.raises(SecurityError, match="signature does not fit"):
        key.public.verify(bytes.fromhex(signature), b"sampler")


def test_the_signature_of_the_green_book_is_verified() -> None:
    GREEN_BOOK_PUBLIC.verify(GREEN_BOOK_SIGNATURE, GREEN_BOOK_MESSAGE)
    assert PrivateKey(bytes.fromhex(GREEN_BOOK_PRIVATE)).public == GREEN_BOOK_PUBLIC


@pytest.mark.parametrize(("ours", "theirs", "public_x", "shared"), AGREED)
def test_the_published_secret_is_agreed_on_from_both_sides(ours: str, theirs: str, public_x: str, shared: str) -> None:
    one, other = PrivateKey(bytes.fromhex(ours)), PrivateKey(bytes.fromhex(theirs))
    assert one.public.octets.hex().startswith(public_x)
    assert one.exchange(other.public).hex() == shared
    assert other.exchange(one.public).hex() == shared


@pytest.mark.parametrize("suite", [1, 2])
def test_openssl_verifies_what_is_signed_here(suite: int, tmp_path: Path) -> None:
    key, message = PrivateKey.generate(SUITES[suite]), b"what was said"
    signature = key.sign(message)
    half = len(signature) // 2
    assert half == {1: 32, 2: 48}[suite]
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    curve = ec.SECP256R1() if suite == 1 else ec.SECP384R1()
    point = ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + key.public.octets)
    (tmp_path / "key.pem").write_bytes(point.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "signature").write_bytes(encode_dss_signature(r, s))
    command = [
        "openssl",
        "dgst",
        "-sha256" if suite == 1 else "-sha384",
        "-verify",
        "key.pem",
        "-signature",
        "signature",
    ]
    done = subprocess.run(command, input=message, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.stdout.strip() == b"Verified OK"


def test_a_signature_altered_anywhere_cut_or_of_another_suite_is_refused() -> None:
    for place in range(len(GREEN_BOOK_SIGNATURE)):
        altered = bytearray(GREEN_BOOK_SIGNATURE)
        altered[place] ^= 0x04
        with pytest.raises(SecurityError, match="signature does not fit"):
            GREEN_BOOK_PUBLIC.verify(bytes(altered), GREEN_BOOK_MESSAGE)
    for size in (0, 1, 63, 65, 96):
        with pytest.raises(SecurityError, match=f"a signature of {size} octets, 64 are"):
            GREEN_BOOK_PUBLIC.verify(bytes(size), GREEN_BOOK_MESSAGE)
    with pytest.raises(SecurityError, match="signature does not fit"):
        GREEN_BOOK_PUBLIC.verify(bytes(64), GREEN_BOOK_MESSAGE)


@pytest.mark.parametrize("octets", [b"", bytes(1), bytes(63), bytes(65), bytes(95)])
def test_a_public_key_of_another_length_is_refused(octets: bytes) -> None:
    with pytest.raises(SecurityError, match="64 or 96 octets"):
        PublicKey(octets)


@pytest.mark.parametrize("octets", [bytes(64), bytes(96), b"\x01" * 64, b"\xff" * 96])
def test_a_public_key_off_its_curve_is_refused(octets: bytes) -> None:
    with pytest.raises(SecurityError, match="no point on its curve"):
        PublicKey(octets)


@pytest.mark.parametrize("octets", [b"", b"\x01" * 31, bytes(32), b"\xff" * 32, b"\xff" * 48])
def test_what_is_no_private_key_is_refused_without_being_shown(octets: bytes) -> None:
    with pytest.raises(SettingsError) as caught:
        PrivateKey(octets)
    assert octets == b"" or octets.hex()[:8] not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_private_key_shows_itself_nowhere_and_is_neither_pickled_nor_copied() -> None:
    key = PrivateKey(bytes.fromhex(GREEN_BOOK_PRIVATE))
    for text in (repr(key), str(key), f"{key}", str([key])):
        assert "redacted" in text
        assert GREEN_BOOK_PRIVATE[:8] not in text
    assert not hasattr(key, "__dict__")
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            copied(key)


def test_keys_of_two_suites_agree_on_nothing_and_suite_0_has_none() -> None:
    one, other = PrivateKey.generate(SUITES[1]), PrivateKey.generate(SUITES[2])
    with pytest.raises(SecurityError, match="security suite 1 and a public key of security suite 2"):
        one.exchange(other.public)
    with pytest.raises(SecurityError, match="security suite 0 has no key pairs"):
        PrivateKey.generate(SUITES[0])
