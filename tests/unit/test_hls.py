"""HLS 2 to 7: each mechanism by a published hash or vector, and what does not prove is refused."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from drivers.dlms import security
from drivers.dlms.security import (
    SUITES,
    Challenge,
    HlsKeys,
    Key,
    PrivateKey,
    Secret,
    answer_challenge,
    check_answer,
)
from profiles.errors import SecurityError

CLIENT, METER = b"MDMTITLE", b"MTRTITLE"
STOC, CTOS = bytes(range(32)), bytes(range(100, 132))
TO_METER = Challenge(STOC, CTOS, prover_title=CLIENT, verifier_title=METER)
"""Pass 3: the client proves itself."""
TO_CLIENT = Challenge(CTOS, STOC, prover_title=METER, verifier_title=CLIENT)
"""Pass 4: the meter does."""
SECRET = Secret(b"hunter2hunter2!!")
EK, AK = Key(bytes(range(16))), Key(bytes(range(0xD0, 0xE0)))
CLIENT_KEY, METER_KEY = PrivateKey.generate(SUITES[1]), PrivateKey.generate(SUITES[1])
CLIENT_KEYS = HlsKeys(SECRET, EK, AK, 0, CLIENT_KEY, METER_KEY.public)
METER_KEYS = HlsKeys(SECRET, EK, AK, 0, METER_KEY, CLIENT_KEY.public)
ALL = range(2, 8)


def counter() -> int:
    return 7


def no_counter() -> int:
    raise AssertionError("this mechanism takes no invocation counter")


def by_secret(mechanism: int, message: bytes, challenge: slice, secret: slice) -> bytes:
    keys = HlsKeys(Secret(message[secret]))
    return answer_challenge(mechanism, keys, Challenge(message[challenge]), no_counter)


def test_hls_3_is_md5_of_challenge_and_secret() -> None:
    # RFC 1321, A.5
    assert by_secret(3, b"message digest", slice(8), slice(8, None)).hex() == "f96b697d7cb7938d525a2f31aaf161d0"


LONG_MESSAGE = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"


def test_hls_4_is_sha_1_of_challenge_and_secret() -> None:
    # FIPS 180-2, A.2
    answer = by_secret(4, LONG_MESSAGE, slice(40), slice(40, None))
    assert answer.hex() == "84983e441c3bd26ebaae4aa1f95129e5e54670f1"


def test_hls_6_is_sha_256_of_secret_titles_and_both_challenges() -> None:
    # FIPS 180-2, B.2
    parts = [LONG_MESSAGE[place : place + 8] for place in range(24, 56, 8)]
    challenge = Challenge(parts[2], parts[3], prover_title=parts[0], verifier_title=parts[1])
    answer = answer_challenge(6, HlsKeys(Secret(LONG_MESSAGE[:24])), challenge, no_counter)
    assert answer.hex() == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"


def test_hls_6_of_the_client_and_of_the_meter_are_in_the_order_of_the_green_book() -> None:
    client = answer_challenge(6, CLIENT_KEYS, TO_METER, no_counter)
    meter = answer_challenge(6, METER_KEYS, TO_CLIENT, no_counter)
    assert client == hashlib.sha256(SECRET.octets + CLIENT + METER + STOC + CTOS).digest()
    assert meter == hashlib.sha256(SECRET.octets + METER + CLIENT + CTOS + STOC).digest()


def test_hls_7_signs_titles_and_both_challenges_in_the_order_of_the_green_book() -> None:
    client = answer_challenge(7, CLIENT_KEYS, TO_METER, no_counter)
    CLIENT_KEY.public.verify(client, CLIENT + METER + STOC + CTOS)
    meter = answer_challenge(7, METER_KEYS, TO_CLIENT, no_counter)
    METER_KEY.public.verify(meter, METER + CLIENT + CTOS + STOC)


def test_hls_7_in_suite_2_is_on_p_384() -> None:
    key = PrivateKey.generate(SUITES[2])
    answer = answer_challenge(7, HlsKeys(signing_key=key), TO_METER, no_counter)
    assert len(answer) == 96
    check_answer(7, HlsKeys(peer_signing_key=key.public), TO_METER, answer)


@pytest.mark.parametrize(("mechanism", "plain"), [(2, security.hls2(SECRET, STOC)), (5, None)])
def test_the_table_answers_hls_2_and_5_as_the_functions_do(mechanism: int, plain: bytes | None) -> None:
    expected = plain or security.gmac(security.AUTHENTICATION, EK, AK, CLIENT, 7, STOC)
    assert answer_challenge(mechanism, CLIENT_KEYS, TO_METER, counter) == expected


@pytest.mark.parametrize("suite", [0, 1, 2])
def test_gmac_is_made_and_checked_in_every_suite_and_in_no_other(suite: int) -> None:
    size = SUITES[suite].key_octets
    keys = HlsKeys(encryption_key=Key(bytes(size)), authentication_key=Key(bytes(size)), suite=suite)
    answer = answer_challenge(5, keys, TO_METER, counter)
    assert answer[:5].hex() == f"1{suite}00000007"
    assert check_answer(5, keys, TO_METER, answer) == 7
    with pytest.raises(SecurityError, match="is required"):
        check_answer(5, CLIENT_KEYS if suite else dataclasses.replace(keys, suite=1), TO_METER, answer)


@pytest.mark.parametrize("mechanism", ALL)
def test_both_sides_prove_themselves_by_every_mechanism(mechanism: int) -> None:
    pass_3 = answer_challenge(mechanism, CLIENT_KEYS, TO_METER, counter)
    taken = check_answer(mechanism, METER_KEYS, TO_METER, pass_3)
    pass_4 = answer_challenge(mechanism, METER_KEYS, TO_CLIENT, counter)
    assert check_answer(mechanism, CLIENT_KEYS, TO_CLIENT, pass_4) == taken
    assert taken == (7 if mechanism == 5 else None)
    assert pass_3 != pass_4


@pytest.mark.parametrize("mechanism", ALL)
def test_an_answer_altered_anywhere_cut_or_made_for_the_other_side_is_refused(mechanism: int) -> None:
    answer = answer_challenge(mechanism, CLIENT_KEYS, TO_METER, counter)
    for place in range(len(answer)):
        altered = bytearray(answer)
        altered[place] ^= 0x01
        for wrong in (bytes(altered), answer[:place], answer + bytes(place + 1)):
            with pytest.raises(SecurityError):
                check_answer(mechanism, METER_KEYS, TO_METER, wrong)
    with pytest.raises(SecurityError):
        check_answer(mechanism, CLIENT_KEYS, TO_CLIENT, answer)


@pytest.mark.parametrize("mechanism", ALL)
def test_a_key_of_another_makes_no_proof(mechanism: int) -> None:
    stranger = PrivateKey.generate(SUITES[1])
    keys = HlsKeys(Secret(b"hunter3hunter3!!"), Key(bytes(16)), AK, 0, stranger, METER_KEY.public)
    answer = answer_challenge(mechanism, keys, TO_METER, counter)
    with pytest.raises(SecurityError) as caught:
        check_answer(mechanism, METER_KEYS, TO_METER, answer)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("mechanism", [5, 6, 7])
def test_another_sender_makes_no_proof_where_titles_are_bound_in(mechanism: int) -> None:
    answer = answer_challenge(mechanism, CLIENT_KEYS, TO_METER, counter)
    with pytest.raises(SecurityError):
        check_answer(mechanism, METER_KEYS, dataclasses.replace(TO_METER, prover_title=b"OTHERONE"), answer)


@pytest.mark.parametrize("mechanism", ALL)
def test_without_its_keys_a_mechanism_neither_answers_nor_checks(mechanism: int) -> None:
    with pytest.raises(SecurityError, match="needs"):
        answer_challenge(mechanism, HlsKeys(), TO_METER, no_counter)
    with pytest.raises(SecurityError, match="needs"):
        check_answer(mechanism, HlsKeys(), TO_METER, bytes(17))


@pytest.mark.parametrize("mechanism", [3, 4, 6])
def test_an_empty_secret_proves_nothing(mechanism: int) -> None:
    with pytest.raises(SecurityError, match="needs the HLS secret"):
        answer_challenge(mechanism, HlsKeys(Secret(b"")), TO_METER, no_counter)


@pytest.mark.parametrize("mechanism", ALL)
def test_a_challenge_too_short_or_too_long_is_neither_answered_nor_taken_an_answer_for(mechanism: int) -> None:
    for size in (0, 7, 65, *([31] if mechanism == 7 else [])):
        challenge = dataclasses.replace(TO_METER, octets=bytes(size))
        with pytest.raises(SecurityError, match=f"a challenge of {size} octets, {32 if mechanism == 7 else 8} to 64"):
            answer_challenge(mechanism, CLIENT_KEYS, challenge, no_counter)
        with pytest.raises(SecurityError, match=f"a challenge of {size} octets"):
            check_answer(mechanism, METER_KEYS, challenge, bytes(17))


@pytest.mark.parametrize("mechanism", [6, 7])
def test_a_title_or_challenge_that_has_to_be_bound_in_may_not_be_missing(mechanism: int) -> None:
    for missing in ({"prover_title": b""}, {"verifier_title": b"short"}, {"prover_challenge": b""}):
        with pytest.raises(SecurityError, match=r"system titles|a challenge of 0 octets"):
            answer_challenge(mechanism, CLIENT_KEYS, dataclasses.replace(TO_METER, **missing), no_counter)


@pytest.mark.parametrize("mechanism", [-1, 0, 1, 8, 255])
def test_what_is_no_hls_mechanism_is_refused(mechanism: int) -> None:
    with pytest.raises(SecurityError, match=f"authentication mechanism {mechanism} is no HLS"):
        answer_challenge(mechanism, CLIENT_KEYS, TO_METER, no_counter)
