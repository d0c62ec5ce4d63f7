"""Keys of general-ciphering: the Green Book's own examples of C(1e, 1s) and C(0e, 2s), and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from drivers.dlms import apdu, security
from drivers.dlms.apdu import AgreedKey, GeneralCiphering, GeneralHeader, IdentifiedKey, KeyInfo, WrappedKey
from drivers.dlms.security import (
    SUITES,
    Key,
    KeyByOnePass,
    KeyByStaticUnified,
    KeyByWrapping,
    KeyId,
    KeySource,
    PrivateKey,
    SharedKey,
)
from drivers.dlms.security.key_agreement import derive_key
from profiles.errors import SecurityError

# Green Book, edition 8, annex C, tables C.2 and C.3: suite 1, a client and a meter with a key pair each for agreement.
CLIENT_AGREEMENT = PrivateKey(bytes.fromhex("a51c16ff5c498fcc89323d4a9267cd71bf81fd6f6a891cd240da7f3d6f283e65"))
METER_AGREEMENT = PrivateKey(bytes.fromhex("aad3fd0732e991cf52a74c66c1f2827ddc53522a2e0a169d7c4ffcc0fb5d6a4d"))
CLIENT_SIGNING = PrivateKey(bytes.fromhex("418073c239fa6125011de4d6cd2e645780289f761bb21bfb0835cb5585e8b373"))
METER_SIGNING = PrivateKey(bytes.fromhex("ae55414ffe079f9fc95649536bd1c2b5653d200813727e07d501a8b550c69207"))
EPHEMERAL = PrivateKey(bytes.fromhex("47dab03842e5b6e74828ef4f449b378d7dd1a5dae1ffca5ae0b0be0ad18ec57e"))
ONE_PASS_SECRET = "0d4385ba0dd756cbcab9887eb538396ee8f090a14c1079b4359f115b977f4615"
ONE_PASS_KEY = Key.from_hex("59a71fd81c929a86a99438da17a66c05")
STATIC_KEY = Key.from_hex("56c46b57df675515c31025455822514a")
AK = Key.from_hex("d0d1d2d3d4d5d6d7d8d9dadbdcdddedf")
HEADER = GeneralHeader(bytes.fromhex("0102030405060708"), b"MMM\x00\x00\xbcaN", b"MMM\x00\x00\x00\x00\x01")
# Both examples carry this access-request.
PLAIN = (
    "d94000000000040100010000600100ff020100080000010000ff0202001400000d0000ff0702001400000d0000ff0804"
    "000001040203090100090cffffffffffffff00000000000901ff0203090101090cffffffffffffff00000000000901ff"
    "0203090102090cffffffffffffff00000000000901ff0203090103090cffffffffffffff00000000000901ff01040208"
    "09010011ff11ff11ff11ff11ff11ff11ff02080901011102110111011101110111011101020809010211ff11ff11ff11"
    "ff11ff11ff11ff02080901031101110211021102110211021102"
)
STATIC_CIPHERTEXT = (
    "607581d83815281b561904e6a72b83bf3fb0b1f2a0a23a82a804b39911f6cb1b4ef9b6f76c6338ed058014ffbf4a13a1"
    "62e0eed11eeb8f597757a18215f28e1d3fc2d44586c4b8afe4500b535b579506cdb925cbeff7f1cf6bf96c583b9cf588"
    "fe8f6b01a574824d7cec597f057ffa8700af12ad63a7fa72040439f4392c089b265f9eb1ac308239906dc04e1a8712ab"
    "e383cf92349842eba166ef2e9eb2f53d0dba025d79875463398bbc3007bc4a6fc12780c21ee1abf080bf0fa926242834"
    "c0ac30d55a1ef8856e7ded48621f17fdf4d5b54eddadd8741192"
)
VECTOR = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parent / "vectors" / "green_book.json").read_text(encoding="ascii"))
}["gb-general-ciphering-c1e1s"]


def printed() -> GeneralCiphering:
    decoded = apdu.decode(bytes.fromhex(VECTOR["apdu"]))
    assert isinstance(decoded, GeneralCiphering)
    return decoded


def meter_one_pass() -> KeyByOnePass:
    return KeyByOnePass(METER_SIGNING, METER_AGREEMENT, CLIENT_SIGNING.public, CLIENT_AGREEMENT.public)


def client_one_pass() -> KeyByOnePass:
    return KeyByOnePass(CLIENT_SIGNING, CLIENT_AGREEMENT, METER_SIGNING.public, METER_AGREEMENT.public)


# --- the examples of the Green Book ---


def test_the_one_pass_key_of_the_green_book_is_agreed_on() -> None:
    message = printed()
    assert message.header == HEADER
    assert isinstance(message.key_info, AgreedKey)
    assert message.key_info.ciphered_data[:64] == EPHEMERAL.public.octets
    assert METER_AGREEMENT.exchange(EPHEMERAL.public).hex() == ONE_PASS_SECRET
    assert EPHEMERAL.exchange(METER_AGREEMENT.public).hex() == ONE_PASS_SECRET
    assert meter_one_pass().for_receiving(SUITES[1], message.header, message.key_info) == ONE_PASS_KEY


def test_the_ciphertext_of_the_green_book_is_made_with_the_one_pass_key() -> None:
    # The 12 octets of tag that are printed fit no authentication key that is printed with them.
    content = printed().content
    assert content[:5].hex() == "3100000000"
    plain = bytes.fromhex(PLAIN)
    protected = security.protect(0x31, ONE_PASS_KEY, AK, HEADER.originator_system_title, 0, plain, HEADER.encode())
    assert protected[:-12] == content[:-12]


def test_the_static_unified_key_and_ciphertext_of_the_green_book_are_made_from_both_sides() -> None:
    client = KeyByStaticUnified(CLIENT_AGREEMENT, METER_AGREEMENT.public)
    meter = KeyByStaticUnified(METER_AGREEMENT, CLIENT_AGREEMENT.public)
    key_info, key = client.for_sending(SUITES[1], HEADER)
    assert key_info == AgreedKey(b"\x02", b"")
    assert key == meter.for_receiving(SUITES[1], HEADER, key_info) == STATIC_KEY
    protected = security.protect(0x31, key, AK, HEADER.originator_system_title, 0, bytes.fromhex(PLAIN))
    assert protected[5:-12].hex() == STATIC_CIPHERTEXT


def test_a_key_of_suite_2_is_the_first_32_octets_of_sha_384() -> None:
    z, party_u, party_v = bytes(range(48)), b"originat", b"recipien"
    algorithm = bytes.fromhex("60857405080301")
    expected = hashlib.sha384(b"\x00\x00\x00\x01" + z + algorithm + party_u + party_v).digest()[:32]
    assert derive_key(SUITES[2], z, party_u, party_v).octets == expected


# --- every source of keys ---

SUITE_1_SOURCES: list[tuple[KeySource, KeySource]] = [
    (SharedKey(AK), SharedKey(AK)),
    (SharedKey(AK, KeyId.GLOBAL_BROADCAST_ENCRYPTION), SharedKey(AK, KeyId.GLOBAL_BROADCAST_ENCRYPTION)),
    (KeyByWrapping(AK), KeyByWrapping(AK)),
    (client_one_pass(), meter_one_pass()),
    (
        KeyByStaticUnified(CLIENT_AGREEMENT, METER_AGREEMENT.public),
        KeyByStaticUnified(METER_AGREEMENT, CLIENT_AGREEMENT.public),
    ),
]


@pytest.mark.parametrize(("sender", "receiver"), SUITE_1_SOURCES)
def test_both_sides_come_by_the_same_key_and_the_next_one_is_another_unless_shared(
    sender: KeySource, receiver: KeySource
) -> None:
    keys = []
    for number in (b"\x01", b"\x02"):
        header = GeneralHeader(number, b"originat", b"recipien")
        key_info, key = sender.for_sending(SUITES[1], header)
        assert receiver.for_receiving(SUITES[1], header, key_info) == key
        keys.append(key)
    assert (keys[0] != keys[1]) == sender.one_off


def test_suite_2_agrees_on_keys_of_32_octets() -> None:
    signing, ours, theirs = (PrivateKey.generate(SUITES[2]) for _ in range(3))
    sender = KeyByOnePass(signing, ours, signing.public, theirs.public)
    receiver = KeyByOnePass(signing, theirs, signing.public, ours.public)
    key_info, key = sender.for_sending(SUITES[2], HEADER)
    assert isinstance(key_info, AgreedKey)
    assert len(key_info.ciphered_data) == 192
    assert receiver.for_receiving(SUITES[2], HEADER, key_info) == key
    assert len(key.octets) == 32


KEY_INFOS: list[KeyInfo | None] = [
    None,
    IdentifiedKey(0),
    IdentifiedKey(1),
    IdentifiedKey(7),
    WrappedKey(0, bytes(24)),
    WrappedKey(1, security.wrap_key(AK, AK)),
    AgreedKey(b"\x01", bytes(128)),
    AgreedKey(b"\x01", b""),
    AgreedKey(b"\x02", b"\x00"),
    AgreedKey(b"\x02", b""),
    AgreedKey(b"\x00", b""),
    AgreedKey(b"", b""),
]


@pytest.mark.parametrize(
    ("source", "accepted"),
    [
        (SharedKey(AK), [None, IdentifiedKey(0)]),
        (SharedKey(AK, KeyId.GLOBAL_BROADCAST_ENCRYPTION), [None, IdentifiedKey(1)]),
        (KeyByWrapping(AK), []),
        (meter_one_pass(), []),
        (KeyByStaticUnified(METER_AGREEMENT, CLIENT_AGREEMENT.public), [AgreedKey(b"\x02", b"")]),
    ],
)
def test_a_key_that_comes_in_another_way_than_agreed_is_refused(source: KeySource, accepted: list[KeyInfo]) -> None:
    for key_info in KEY_INFOS:
        if key_info in accepted:
            assert source.for_receiving(SUITES[1], HEADER, key_info).octets
        else:
            with pytest.raises(SecurityError):
                source.for_receiving(SUITES[1], HEADER, key_info)


def test_an_ephemeral_key_that_another_signed_or_that_was_put_in_its_place_is_refused() -> None:
    ours = EPHEMERAL.public.octets
    for data in (
        ours + METER_SIGNING.sign(ours),
        METER_AGREEMENT.public.octets + CLIENT_SIGNING.sign(ours),
        ours + CLIENT_SIGNING.sign(b"\x00" + ours),
    ):
        with pytest.raises(SecurityError, match="signature does not fit"):
            meter_one_pass().for_receiving(SUITES[1], HEADER, AgreedKey(b"\x01", data))


def test_a_signed_ephemeral_key_off_the_curve_is_refused() -> None:
    off = b"\x01" * 64
    with pytest.raises(SecurityError, match="no point on its curve"):
        meter_one_pass().for_receiving(SUITES[1], HEADER, AgreedKey(b"\x01", off + CLIENT_SIGNING.sign(off)))


@pytest.mark.parametrize("suite", [0, 2])
def test_key_pairs_of_another_suite_than_the_apdu_are_refused(suite: int) -> None:
    static = KeyByStaticUnified(METER_AGREEMENT, CLIENT_AGREEMENT.public)
    with pytest.raises(SecurityError, match=f"a key pair of security suite 1 for an APDU of security suite {suite}"):
        static.for_receiving(SUITES[suite], HEADER, AgreedKey(b"\x02", b""))
    with pytest.raises(SecurityError):
        client_one_pass().for_sending(SUITES[suite], HEADER)
    with pytest.raises(SecurityError, match="security suite 0 has no key agreement"):
        derive_key(SUITES[0], bytes(32), b"", b"")


def test_the_static_unified_model_is_refused_without_a_transaction_id() -> None:
    with pytest.raises(SecurityError, match="needs a transaction-id"):
        KeyByStaticUnified(CLIENT_AGREEMENT, METER_AGREEMENT.public).for_sending(
            SUITES[1], GeneralHeader(b"", b"originat", b"recipien")
        )


@pytest.mark.parametrize("source", [SharedKey(AK), KeyByWrapping(AK), client_one_pass()])
def test_a_source_of_keys_shows_none_of_them(source: KeySource) -> None:
    for secret in (AK.octets, CLIENT_SIGNING.octets, CLIENT_AGREEMENT.octets):
        assert secret.hex()[:8] not in repr(source).lower()
    assert "redacted" in repr(source)
