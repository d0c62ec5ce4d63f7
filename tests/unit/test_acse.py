"""ACSE both ways: what opens and closes an association, and what is wrong with it."""

from __future__ import annotations

import pickle

import pytest
from dlms_cosem import enumerations
from dlms_cosem.protocol import acse as theirs
from dlms_cosem.protocol import xdlms
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import acse, apdu
from drivers.dlms.acse import Aare, Aarq, Release
from drivers.dlms.security import Secret
from profiles.errors import ProtocolError, SecurityError

TITLE = b"MMM\x00\x00\xbcaN"
PASSWORD = b"s3cr3t-pass"
CHALLENGE = bytes(range(0x41, 0x51))
INITIATE = apdu.InitiateRequest(0x00101D, 1200).encode()
RESPONSE = apdu.InitiateResponse(0x00101D, 500).encode()
CIPHERED = bytes.fromhex("21 11 30 00000001") + bytes(12)
HLS_AARE = acse.encode_aare(
    result=acse.ACCEPTED,
    diagnostic=14,
    ciphered=True,
    system_title=TITLE,
    mechanism=acse.HLS_GMAC,
    challenge=CHALLENGE,
    user_information=RESPONSE,
)


def aarq(**changes: object) -> bytes:
    asked: dict[str, object] = {
        "ciphered": False,
        "mechanism": acse.LLS,
        "client_title": None,
        "authentication_value": Secret(PASSWORD),
        "user_information": INITIATE,
    }
    return acse.encode_aarq(**{**asked, **changes})  # type: ignore[arg-type]


# --- AARQ ---


def test_an_aarq_without_security_is_context_and_user_information_alone() -> None:
    assert aarq(mechanism=acse.NO_SECURITY, authentication_value=None).hex(" ", -4) == bytes.fromhex(
        "601d a109 0607 60857405080101 be10 040e 01000000 065f1f04 0000101d 04b0"
    ).hex(" ", -4)


@pytest.mark.parametrize("mechanism", [acse.HLS, acse.HLS_GMAC])
@pytest.mark.parametrize("user_information", [INITIATE, CIPHERED])
def test_what_an_aarq_asks_for_is_what_the_meter_reads(mechanism: int, user_information: bytes) -> None:
    octets = aarq(
        ciphered=True,
        mechanism=mechanism,
        client_title=TITLE,
        authentication_value=CHALLENGE,
        user_information=user_information,
    )
    assert acse.decode_aarq(octets) == Aarq(True, mechanism, TITLE, CHALLENGE, user_information)


def test_the_secret_of_an_hls_never_leaves_in_an_aarq() -> None:
    for mechanism in (acse.NO_SECURITY, acse.HLS, acse.HLS_GMAC):
        with pytest.raises(SecurityError, match="must not be sent"):
            aarq(mechanism=mechanism, authentication_value=Secret(PASSWORD))


def test_an_aarq_above_127_octets_has_a_long_length() -> None:
    initiate = apdu.InitiateRequest(0x00101D, 1200, dedicated_key=bytes(16)).encode()
    octets = aarq(
        mechanism=acse.HLS_GMAC,
        ciphered=True,
        client_title=TITLE,
        authentication_value=bytes(64),
        user_information=initiate,
    )
    assert octets[:2] == b"\x60\x81"
    assert octets[2] == len(octets) - 3 > 127
    assert acse.decode_aarq(octets).authentication_value == bytes(64)


@pytest.mark.parametrize("mechanism", [acse.LLS, acse.HLS, acse.HLS_GMAC])
@pytest.mark.parametrize("client_title", [None, TITLE])
def test_an_aarq_is_octet_for_octet_what_dlms_cosem_encodes(mechanism: int, client_title: bytes | None) -> None:
    other = theirs.ApplicationAssociationRequest(
        ciphered=True,
        authentication=enumerations.AuthenticationMechanism(mechanism),
        system_title=client_title,
        authentication_value=CHALLENGE,
        user_information=theirs.UserInformation(
            xdlms.InitiateRequest(
                xdlms.Conformance.from_bytes(bytes.fromhex("0000101d")), client_max_receive_pdu_size=1200
            )
        ),
    )
    assert (
        aarq(ciphered=True, mechanism=mechanism, client_title=client_title, authentication_value=CHALLENGE)
        == other.to_bytes()
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"authentication_value": bytes(300), "mechanism": acse.HLS},
        {"user_information": apdu.InitiateRequest(0x10, 1200, response_allowed=False).encode()},
        {"user_information": apdu.InitiateRequest(0x800010, 1200, dedicated_key=bytes(200)).encode()},
        {"user_information": bytes.fromhex("db084845530102030405") + b"\x05\x30\x00\x00\x00\x01"},
    ],
)
def test_an_aarq_that_dlms_cosem_cannot_encode_is_what_the_meter_reads(changes: dict[str, object]) -> None:
    asked = {"authentication_value": PASSWORD, "mechanism": acse.LLS, "user_information": INITIATE, **changes}
    read = acse.decode_aarq(aarq(**asked))
    assert (read.authentication_value, read.mechanism, read.user_information) == tuple(asked.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"client_title": b"short"},
        {"client_title": b""},
        {"mechanism": 9},
        {"user_information": b""},
        {"user_information": RESPONSE},
    ],
)
def test_an_aarq_that_cannot_be_is_an_error(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError) as caught:
        aarq(**{"authentication_value": PASSWORD, **changes})
    assert not caught.value.retry
    assert "s3cr3t" not in str(caught.value)


def test_no_error_about_an_aarq_drags_its_password_along() -> None:
    with pytest.raises(ProtocolError) as caught:
        aarq(authentication_value=PASSWORD, mechanism=9)
    seen: BaseException | None = caught.value
    while seen is not None:
        assert "s3cr3t" not in repr(seen)
        seen = seen.__context__ or seen.__cause__


def test_neither_password_nor_challenge_is_shown() -> None:
    assert "s3cr3t" not in repr(acse.decode_aarq(aarq()))
    assert repr(CHALLENGE)[2:-1] not in repr(acse.decode_aare(HLS_AARE))


def test_both_codecs_read_the_same_aarq() -> None:
    octets = aarq(ciphered=True, client_title=TITLE)
    other = theirs.ApplicationAssociationRequest.from_bytes(octets)
    ours = acse.decode_aarq(octets)
    assert (other.ciphered, other.authentication, bytes(other.system_title), bytes(other.authentication_value)) == (
        ours.ciphered,
        ours.mechanism,
        ours.client_title,
        ours.authentication_value,
    )
    assert other.user_information.content.to_bytes() == ours.user_information == INITIATE


# --- AARE ---


def test_both_codecs_read_the_same_aare() -> None:
    other = theirs.ApplicationAssociationResponse.from_bytes(HLS_AARE)
    ours = acse.decode_aare(HLS_AARE)
    assert ours == Aare(0, acse.USER, 14, True, TITLE, acse.HLS_GMAC, CHALLENGE, RESPONSE)
    assert other.result == ours.result
    assert other.result_source_diagnostics == ours.diagnostic
    assert (other.ciphered, other.authentication, other.system_title) == (True, ours.mechanism, TITLE)
    assert bytes(other.authentication_value) == CHALLENGE
    assert isinstance(other.user_information.content, xdlms.InitiateResponse)
    assert other.to_bytes() == HLS_AARE


def test_an_aare_without_security_has_nothing_that_only_security_needs() -> None:
    octets = acse.encode_aare(result=0, diagnostic=0, user_information=RESPONSE)
    assert octets == bytes.fromhex(
        "6129 a109 0607 60857405080101 a203 020100 a305 a103 020100 be10 040e 0800065f1f0400 00101d 01f4 0007"
    )
    assert acse.decode_aare(octets) == Aare(0, acse.USER, 0, False, user_information=RESPONSE)


def test_an_aare_with_explicit_protocol_version_is_read_like_one_without() -> None:
    explicit = HLS_AARE[:1] + bytes([HLS_AARE[1] + 4]) + bytes.fromhex("80020780") + HLS_AARE[2:]
    with pytest.raises(ValueError, match="protocol version"):
        theirs.ApplicationAssociationResponse.from_bytes(explicit)
    assert acse.decode_aare(explicit) == acse.decode_aare(HLS_AARE)


def test_optional_fields_that_mean_nothing_here_are_skipped() -> None:
    # AE qualifier, AP and AE invocation identifiers, implementation information
    skipped = bytes.fromhex("a503 040101 a603 020100 a703 020101 bd02 0500")
    octets = HLS_AARE[:1] + bytes([HLS_AARE[1] + len(skipped)]) + HLS_AARE[2:] + skipped
    assert acse.decode_aare(octets) == acse.decode_aare(HLS_AARE)


def test_long_lengths_and_longer_ones_than_needed_are_read() -> None:
    long = acse.encode_aare(result=0, diagnostic=14, mechanism=2, challenge=bytes(64), user_information=bytes(100))
    assert long[1] == 0x81
    assert acse.decode_aare(long).user_information == bytes(100)
    assert acse.decode_aare(b"\x61\x82\x00" + HLS_AARE[1:]) == acse.decode_aare(HLS_AARE)


def test_a_rejection_needs_neither_title_nor_user_information() -> None:
    octets = acse.encode_aare(result=acse.REJECTED_TRANSIENT, diagnostic_source=acse.PROVIDER, diagnostic=2)
    assert acse.decode_aare(octets) == Aare(2, acse.PROVIDER, 2, False)


def test_an_empty_system_title_is_none() -> None:
    assert acse.decode_aare(acse.encode_aare(result=0, diagnostic=0, system_title=b"")).system_title is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("a203020100 a305a103020100", "no application context name"),
        ("a109060760857405080101 a305a103020100", "no result"),
        ("a109060760857405080101 a203020100", "no diagnostic"),
        ("a109060760857405080102 a203020100 a305a103020100", "application context 60857405080102"),
        ("a109060760857405080101 a203020100 a203020100", "field a2 twice"),
        ("a109060760857405080101 a20402020100 a305a103020100", "an integer of 2 octets"),
        ("a109060760857405080101 a203040100 a305a103020100", "04 inside a field where 02"),
        ("a109060760857405080101 a203020100 a305a303020100", "a3 inside a field where a2"),
        ("a109060760857405080101 a203020100 a305a103020100 a405040341424c", "a system title of 3 octets"),
        ("a109060760857405080101 a203020100 a305a103020100 890760857405080301", "authentication mechanism"),
        ("a109060760857405080101 a203020100 a305a103020100 5f1f00", "a tag of several octets"),
        ("a109060760857405080101 a203020100 a305a103020100 be050203010203", "02 inside a field"),
        ("a109060760857405080101 a203020100 a384ffffffff00", "length 4294967295"),
        ("a109060760857405080101 a203020100 a380a1030201000000", "a length of 0 octets"),
    ],
)
def test_a_malformed_aare_is_refused_by_what_is_wrong_with_it(fields: str, message: str) -> None:
    body = bytes.fromhex(fields)
    with pytest.raises(ProtocolError, match=message):
        acse.decode_aare(bytes([0x61, len(body)]) + body)


@pytest.mark.parametrize("octets", ["", "60", "6184ffffffff", "61ff", "d80102", "6100ff"])
def test_what_is_no_aare_is_refused(octets: str) -> None:
    with pytest.raises(ProtocolError, match="AARE"):
        acse.decode_aare(bytes.fromhex(octets))


def test_octets_after_an_aare_are_refused() -> None:
    with pytest.raises(ProtocolError, match="1 octets too many"):
        acse.decode_aare(HLS_AARE + b"\x00")


def test_every_diagnostic_is_explained() -> None:
    for code in range(15):
        assert not acse.diagnostic_text(acse.USER, code).startswith("acse-service-user")
    for code in range(3):
        assert not acse.diagnostic_text(acse.PROVIDER, code).startswith("acse-service-provider")
    assert "password" in acse.diagnostic_text(acse.USER, 13)
    assert acse.diagnostic_text(acse.USER, 99) == "acse-service-user diagnostic 99"
    assert acse.diagnostic_text(acse.PROVIDER, 9) == "acse-service-provider diagnostic 9"


# --- RLRQ and RLRE ---


@pytest.mark.parametrize(
    ("octets", "release"),
    [
        ("6200", Release()),
        ("6203800100", Release(0)),
        ("620380011e", Release(30)),
        ("6215800100be10040e" + INITIATE.hex(), Release(0, INITIATE)),
        ("621a800100be150413" + CIPHERED.hex(), Release(0, CIPHERED)),
    ],
)
def test_an_rlrq_is_encoded_and_read_back(octets: str, release: Release) -> None:
    assert acse.encode_rlrq(release.reason, release.user_information) == bytes.fromhex(octets)
    assert acse.decode_rlrq(bytes.fromhex(octets)) == release


@pytest.mark.parametrize("release", [Release(), Release(0), Release(1), Release(30), Release(0, RESPONSE)])
def test_an_rlre_is_encoded_and_read_back(release: Release) -> None:
    octets = acse.encode_rlre(release.reason, release.user_information)
    assert acse.decode_rlre(octets) == release


def test_a_release_of_nothing_but_its_tag_is_read_where_dlms_cosem_breaks() -> None:
    with pytest.raises(IndexError):
        theirs.ReleaseResponse.from_bytes(b"\x63\x00")
    assert acse.decode_rlre(b"\x63\x00") == Release()


def test_both_codecs_read_the_same_rlre() -> None:
    octets = acse.encode_rlre(0, RESPONSE)
    other = theirs.ReleaseResponse.from_bytes(octets)
    assert other.reason == acse.decode_rlre(octets).reason == 0
    assert other.user_information.content.server_max_receive_pdu_size == 500


@pytest.mark.parametrize(("reason", "user_information"), [(7, None), (0, b""), (0, RESPONSE)])
def test_an_rlrq_that_cannot_be_is_an_error(reason: int, user_information: bytes | None) -> None:
    with pytest.raises(ProtocolError):
        acse.encode_rlrq(reason, user_information)


def test_a_reason_of_two_octets_is_refused() -> None:
    with pytest.raises(ProtocolError, match="a reason of 2 octets"):
        acse.decode_rlre(bytes.fromhex("630480020000"))


# --- anything ---

DECODERS = [acse.decode_aarq, acse.decode_aare, acse.decode_rlrq, acse.decode_rlre]


@pytest.mark.parametrize(
    ("decode", "whole"),
    [
        (acse.decode_aarq, aarq(ciphered=True, client_title=TITLE)),
        (acse.decode_aare, HLS_AARE),
        (acse.decode_rlrq, acse.encode_rlrq(0, INITIATE)),
        (acse.decode_rlre, acse.encode_rlre(0, RESPONSE)),
    ],
)
def test_truncated_at_any_octet_it_is_refused(decode: object, whole: bytes) -> None:
    assert callable(decode)
    for size in range(len(whole)):
        with pytest.raises(ProtocolError):
            decode(whole[:size])
        # the same with a length that fits the cut, so that the fields are what breaks or is missing
        if size >= 2:
            try:
                decode(whole[:1] + bytes([size - 2]) + whole[2:size])
            except ProtocolError:
                continue


@given(
    result=st.integers(0, 255),
    source=st.sampled_from([acse.USER, acse.PROVIDER]),
    diagnostic=st.integers(0, 255),
    ciphered=st.booleans(),
    title=st.none() | st.binary(min_size=8, max_size=8),
    mechanism=st.integers(0, 7),
    challenge=st.none() | st.binary(max_size=300),
    user_information=st.none() | st.binary(max_size=300),
)
def test_any_aare_is_decoded_to_itself(
    result: int,
    source: int,
    diagnostic: int,
    ciphered: bool,
    title: bytes | None,
    mechanism: int,
    challenge: bytes | None,
    user_information: bytes | None,
) -> None:
    octets = acse.encode_aare(
        result=result,
        diagnostic_source=source,
        diagnostic=diagnostic,
        ciphered=ciphered,
        system_title=title,
        mechanism=mechanism,
        challenge=challenge,
        user_information=user_information,
    )
    assert acse.decode_aare(octets) == Aare(
        result, source, diagnostic, ciphered, title, mechanism, challenge, user_information
    )


@given(
    decoder=st.integers(0, 3),
    whole=st.sampled_from([HLS_AARE, aarq(), acse.encode_rlrq(0, INITIATE), acse.encode_rlre(0, RESPONSE)]),
    place=st.integers(0, 200),
    replacement=st.binary(max_size=12),
)
def test_octets_altered_anywhere_are_read_or_refused_and_nothing_else(
    decoder: int, whole: bytes, place: int, replacement: bytes
) -> None:
    place %= len(whole)
    altered = whole[:place] + replacement + whole[place + len(replacement) :]
    try:
        found = DECODERS[decoder](altered)
    except ProtocolError:
        return
    assert isinstance(found, Aarq | Aare | Release)


@given(decoder=st.integers(0, 3), tag=st.sampled_from([0x60, 0x61, 0x62, 0x63]), body=st.binary(max_size=100))
def test_garbage_is_read_or_refused_and_nothing_else(decoder: int, tag: int, body: bytes) -> None:
    try:
        found = DECODERS[decoder](bytes([tag, len(body)]) + body)
    except ProtocolError:
        return
    assert isinstance(found, Release)


def test_a_secret_is_not_pickled_with_an_aarq() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(PASSWORD))
