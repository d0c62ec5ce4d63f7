"""Suite 0: what is protected comes back, and everything that was touched, replayed or sent in clear is refused."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import security
from drivers.dlms.security import AUTHENTICATION, BOTH, ENCRYPTION, Key, Secret, Unprotected
from profiles.errors import HeadEndError, ProtocolError, SecurityError, SettingsError

EK = Key(bytes(range(16)))
AK = Key(bytes(range(0xD0, 0xE0)))
OTHER = Key(bytes(16))
TITLE = b"MMM\x00\x00\xbcaN"
OTHER_TITLE = b"MMM\x00\x00\xbcaO"
PLAIN = bytes.fromhex("c401c10006000006b3")
CHALLENGE = bytes(range(16))
CONTROLS = [AUTHENTICATION, ENCRYPTION, BOTH]


def protect(control: int = BOTH, counter: int = 7, plain: bytes = PLAIN) -> bytes:
    return security.protect(control, EK, AK, TITLE, counter, plain)


def unprotect(protected: bytes, control: int = BOTH, last_counter: int | None = 6) -> Unprotected:
    return security.unprotect(control, EK, AK, TITLE, protected, last_counter)


# --- protection ---


@given(st.sampled_from(CONTROLS), st.integers(0, security.MAX_COUNTER), st.binary(max_size=2000))
def test_what_is_protected_is_unprotected_to_itself(control: int, counter: int, plain: bytes) -> None:
    protected = protect(control, counter, plain)
    assert len(protected) == 5 + len(plain) + (12 if control & AUTHENTICATION else 0)
    found = unprotect(protected, control, counter - 1)
    assert found == Unprotected(plain, counter, authenticated=bool(control & AUTHENTICATION))


@pytest.mark.parametrize("control", [AUTHENTICATION, BOTH])
def test_one_altered_bit_anywhere_is_refused(control: int) -> None:
    protected = protect(control)
    for place in range(len(protected)):
        altered = bytearray(protected)
        altered[place] ^= 0x01
        with pytest.raises(SecurityError):
            unprotect(bytes(altered), control)


@pytest.mark.parametrize("control", [AUTHENTICATION, BOTH])
def test_truncated_at_any_octet_it_is_refused(control: int) -> None:
    protected = protect(control)
    for size in range(len(protected)):
        with pytest.raises(SecurityError):
            unprotect(protected[:size], control)


def test_encryption_alone_is_refused_without_its_header_and_else_known_as_not_authenticated() -> None:
    protected = protect(ENCRYPTION)
    for size in range(5):
        with pytest.raises(SecurityError):
            unprotect(protected[:size], ENCRYPTION)
    altered = unprotect(protected[:-1], ENCRYPTION)
    assert altered.plain == PLAIN[:-1]
    assert not altered.authenticated


@pytest.mark.parametrize(
    ("ek", "ak", "title"), [(OTHER, AK, TITLE), (EK, OTHER, TITLE), (EK, AK, OTHER_TITLE), (AK, EK, TITLE)]
)
@pytest.mark.parametrize("control", [AUTHENTICATION, BOTH])
def test_another_key_or_system_title_is_refused(control: int, ek: Key, ak: Key, title: bytes) -> None:
    with pytest.raises(SecurityError, match="tag does not fit"):
        security.unprotect(control, ek, ak, title, protect(control), None)


@pytest.mark.parametrize("required", CONTROLS)
@pytest.mark.parametrize("sent", CONTROLS)
def test_only_the_required_protection_is_accepted_neither_weaker_nor_other(required: int, sent: int) -> None:
    if sent == required:
        assert unprotect(protect(sent), required).plain == PLAIN
    else:
        with pytest.raises(SecurityError, match=f"0x{required:02x} is required"):
            unprotect(protect(sent), required)


@pytest.mark.parametrize("bits", [0x01, 0x02, 0x0F, 0x40, 0x80])
def test_another_suite_a_broadcast_key_or_compression_than_required_is_refused(bits: int) -> None:
    protected = protect()
    with pytest.raises(SecurityError, match="is required"):
        unprotect(bytes([BOTH | bits]) + protected[1:])


@pytest.mark.parametrize("control", [0x00, 0x01, 0x02, 0x40, 0x03, 0x0F, BOTH | 0x03, BOTH | 0x0F, BOTH | 0x100, -16])
def test_a_security_control_that_means_nothing_is_neither_sent_nor_required(control: int) -> None:
    with pytest.raises(SecurityError, match="none of 0x10, 0x20, 0x30"):
        protect(control)
    with pytest.raises(SecurityError, match="none of 0x10, 0x20, 0x30"):
        unprotect(bytes([control & 0xFF]) + protect()[1:], control)


@pytest.mark.parametrize("control", [0x90, 0xA0, 0xB0, 0xB1, 0xF2])
def test_compression_is_recognised_and_refused_by_name(control: int) -> None:
    with pytest.raises(SecurityError, match=r"compressed .*compression is not supported"):
        protect(control)
    with pytest.raises(SecurityError, match=r"compressed .*compression is not supported"):
        unprotect(bytes([control]) + protect()[1:], control)


LONG_EK = Key(bytes(range(32)))
LONG_AK = Key(bytes(range(0xC0, 0xE0)))


@pytest.mark.parametrize("control", [*CONTROLS, BOTH | security.BROADCAST])
@pytest.mark.parametrize("suite", [0, 1, 2])
def test_every_suite_and_key_set_protects_and_unprotects_and_none_passes_for_another(suite: int, control: int) -> None:
    ek, ak = (LONG_EK, LONG_AK) if suite == 2 else (EK, AK)
    protected = security.protect(control | suite, ek, ak, TITLE, 7, PLAIN)
    assert security.unprotect(control | suite, ek, ak, TITLE, protected, 6).plain == PLAIN
    if control & AUTHENTICATION:
        for other in {control, control | 1, control ^ security.BROADCAST | suite} - {control | suite}:
            if ek is EK:
                with pytest.raises(SecurityError, match="tag does not fit"):
                    security.unprotect(other, ek, ak, TITLE, bytes([other]) + protected[1:], 6)


@pytest.mark.parametrize(("suite", "ek", "ak"), [(0, LONG_EK, AK), (1, EK, LONG_AK), (2, EK, AK), (2, LONG_EK, AK)])
def test_a_key_of_another_length_than_the_suite_has_is_refused(suite: int, ek: Key, ak: Key) -> None:
    with pytest.raises(SecurityError, match=f"security suite {suite} has keys of {32 if suite == 2 else 16} octets"):
        security.protect(BOTH | suite, ek, ak, TITLE, 7, PLAIN)
    with pytest.raises(SecurityError, match=f"security suite {suite} has keys of"):
        security.unprotect(BOTH | suite, ek, ak, TITLE, bytes([BOTH | suite]) + bytes(40), None)


def test_no_protection_at_all_can_be_neither_asked_for_nor_required() -> None:
    with pytest.raises(SecurityError):
        protect(0)
    with pytest.raises(SecurityError):
        unprotect(bytes(5) + PLAIN, 0)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_counter_that_does_not_rise_is_a_replay(control: int) -> None:
    protected = protect(control, counter=7)
    for last in (7, 8, security.MAX_COUNTER):
        with pytest.raises(SecurityError, match="replay refused"):
            unprotect(protected, control, last_counter=last)
    assert unprotect(protected, control, last_counter=6).counter == 7
    assert unprotect(protected, control, last_counter=None).counter == 7


@pytest.mark.parametrize("counter", [-1, 1 << 32])
def test_a_counter_that_does_not_fit_is_refused_rather_than_wrapped(counter: int) -> None:
    with pytest.raises(SecurityError, match="does not fit 32 bits"):
        protect(counter=counter)


@pytest.mark.parametrize("title", [b"", b"MMM0000", b"MMM000000"])
def test_a_system_title_of_another_length_is_refused(title: bytes) -> None:
    with pytest.raises(SecurityError, match="a system title has 8 octets"):
        security.protect(BOTH, EK, AK, title, 1, PLAIN)
    with pytest.raises(SecurityError, match="a system title has 8 octets"):
        security.unprotect(BOTH, EK, AK, title, protect(), None)


@given(st.sampled_from(CONTROLS), st.binary(max_size=80), st.booleans())
def test_garbage_is_refused_and_nothing_else(control: int, garbage: bytes, with_control: bool) -> None:
    protected = bytes([control]) + garbage if with_control else garbage
    try:
        found = unprotect(protected, control, None)
    except SecurityError:
        return
    assert control == ENCRYPTION
    assert not found.authenticated


# --- glo-ciphered APDUs ---

GLO = [
    ("01", "21"),
    ("08", "28"),
    ("0e", "2e"),
    ("c0", "c8"),
    ("c1", "c9"),
    ("c2", "ca"),
    ("c3", "cb"),
    ("c4", "cc"),
    ("c5", "cd"),
    ("c7", "cf"),
]


@pytest.mark.parametrize(("plain", "ciphered"), GLO)
def test_each_service_has_its_glo_tag(plain: str, ciphered: str) -> None:
    octets = security.glo_wrap(bytes.fromhex(plain) + b"\x01", b"\x30" * 3)
    assert octets.hex() == ciphered + "03303030"
    assert security.glo_unwrap(octets) == (int(plain, 16), b"\x30" * 3)


def test_a_long_ciphered_apdu_has_a_long_length() -> None:
    octets = security.glo_wrap(PLAIN, bytes(300))
    assert octets[:4].hex() == "cc82012c"
    assert security.glo_unwrap(octets) == (0xC4, bytes(300))


@pytest.mark.parametrize("octets", ["", "c401c10000", "d80102", "0e010601", "61", "db08", "00"])
def test_plaintext_where_a_ciphered_apdu_is_required_is_refused(octets: str) -> None:
    with pytest.raises(SecurityError, match="ciphered"):
        security.glo_unwrap(bytes.fromhex(octets))


@pytest.mark.parametrize("octets", ["cc", "cc05", "cc053000000001ff", "cc84ffffffff30", "cc8030", "cc8530"])
def test_a_ciphered_apdu_of_another_length_than_it_says_is_refused(octets: str) -> None:
    with pytest.raises(ProtocolError, match="ciphered APDU"):
        security.glo_unwrap(bytes.fromhex(octets))


@pytest.mark.parametrize("plain", [b"", b"\x60\x00", b"\xd8\x01\x02"])
def test_what_has_no_glo_form_is_not_wrapped(plain: bytes) -> None:
    with pytest.raises(SecurityError, match="no globally ciphered form"):
        security.glo_wrap(plain, protect())


@given(st.binary(max_size=40))
def test_garbage_is_unwrapped_or_refused_and_nothing_else(garbage: bytes) -> None:
    try:
        tag, protected = security.glo_unwrap(garbage)
    except HeadEndError:
        return
    assert security.glo_wrap(bytes([tag]), protected)[:1] == garbage[:1]


# --- HLS ---


def test_a_gmac_answer_carries_its_counter_and_another_counter_makes_another_answer() -> None:
    first, second = (security.gmac(AUTHENTICATION, EK, AK, TITLE, counter, CHALLENGE) for counter in (7, 8))
    assert (first[:5].hex(), second[:5].hex()) == ("1000000007", "1000000008")
    assert first[5:] != second[5:]
    assert security.check_gmac(EK, AK, TITLE, CHALLENGE, first, 6) == 7


def test_a_wrong_altered_cut_or_replayed_gmac_answer_is_refused() -> None:
    answer = security.gmac(AUTHENTICATION, EK, AK, TITLE, 7, CHALLENGE)
    for place in range(len(answer)):
        altered = bytearray(answer)
        altered[place] ^= 0x80
        with pytest.raises(SecurityError):
            security.check_gmac(EK, AK, TITLE, CHALLENGE, bytes(altered), 6)
        with pytest.raises(SecurityError, match="octets, not 17"):
            security.check_gmac(EK, AK, TITLE, CHALLENGE, answer[:place], 6)
    with pytest.raises(SecurityError, match="replay"):
        security.check_gmac(EK, AK, TITLE, CHALLENGE, answer, 7)
    with pytest.raises(SecurityError, match="tag does not fit"):
        security.check_gmac(EK, AK, TITLE, CHALLENGE[::-1], answer, 6)
    with pytest.raises(SecurityError, match="tag does not fit"):
        security.check_gmac(EK, AK, OTHER_TITLE, CHALLENGE, answer, 6)


def test_gmac_is_never_made_with_encryption() -> None:
    with pytest.raises(SecurityError, match="0x10, not 0x30"):
        security.gmac(BOTH, EK, AK, TITLE, 7, CHALLENGE)


def test_hls_2_is_aes_128_ecb_of_the_challenge() -> None:
    # FIPS 197, appendix C.1
    secret = Secret(bytes.fromhex("000102030405060708090a0b0c0d0e0f"))
    challenge = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert security.hls2(secret, challenge).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"
    security.check_hls2(secret, challenge, bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a"))


def test_a_short_hls_2_secret_or_challenge_is_filled_up_with_zeros() -> None:
    short = security.hls2(Secret(b"wwwwwwww"), b"challeng")
    assert short == security.hls2(Secret(b"wwwwwwww" + bytes(8)), b"challeng" + bytes(8))
    assert security.hls2(Secret(b"wwwwwwww"), b"challeng" * 3)[16:] == short


def test_a_wrong_hls_2_answer_is_refused() -> None:
    answer = security.hls2(Secret(b"wwwwwwww"), CHALLENGE)
    for wrong in (b"", answer[:-1], answer + b"\x00", bytes(16), CHALLENGE):
        with pytest.raises(SecurityError, match="answer to our challenge is wrong"):
            security.check_hls2(Secret(b"wwwwwwww"), CHALLENGE, wrong)


@pytest.mark.parametrize("size", [0, 7, 65])
def test_a_challenge_too_short_to_be_safe_or_too_long_is_refused(size: int) -> None:
    with pytest.raises(SecurityError, match="8 to 64"):
        security.hls2(Secret(b"wwwwwwww"), bytes(size))
    with pytest.raises(SecurityError, match="8 to 64"):
        security.gmac(AUTHENTICATION, EK, AK, TITLE, 7, bytes(size))
    with pytest.raises(SecurityError, match="8 to 64"):
        security.check_gmac(EK, AK, TITLE, bytes(size), bytes(17), None)


@pytest.mark.parametrize("size", [0, 17])
def test_an_hls_2_secret_that_is_no_aes_128_key_is_refused(size: int) -> None:
    with pytest.raises(SecurityError, match="1 to 16"):
        security.hls2(Secret(bytes(size)), CHALLENGE)


# --- keys and secrets ---

SHOWN = Secret(b"hunter2hunter2!!")


@pytest.mark.parametrize("secret", [SHOWN, Key(b"hunter2hunter2!!")])
def test_a_secret_shows_itself_nowhere(secret: Secret, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("with %s and %r", secret, secret)
    texts = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret!r}",
        "%s" % secret,  # noqa: UP031
        str([secret]),
        str(SecurityError(f"with {secret}")),
        caplog.text,
    ]
    for text in texts:
        assert "redacted" in text
        assert "hunter2" not in text
        assert b"hunter2".hex() not in text.lower()


def test_a_secret_has_no_dict_to_dump_and_is_neither_pickled_nor_copied() -> None:
    assert not hasattr(SHOWN, "__dict__")
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            copied(SHOWN)


def test_secrets_are_equal_by_their_octets_and_kind_and_hash_alike() -> None:
    same = Secret(bytes(SHOWN.octets))
    assert same == SHOWN
    assert hash(same) == hash(SHOWN)
    assert len({same, SHOWN, Secret(b"other")}) == 2
    assert Secret(b"other") != SHOWN
    assert Key(SHOWN.octets) != SHOWN
    assert SHOWN.octets != SHOWN


@pytest.mark.parametrize("text", ["", "00", "00" * 15, "00" * 17, "00" * 24, "00" * 33])
def test_a_key_of_another_length_is_refused_by_its_length(text: str) -> None:
    with pytest.raises(SettingsError, match=f"16 octets .* not {len(text) // 2}"):
        Key.from_hex(text)


@pytest.mark.parametrize("kind", [Key, Secret])
def test_a_key_that_is_no_hex_is_refused_without_being_shown(kind: type[Secret]) -> None:
    with pytest.raises(SettingsError) as caught:
        kind.from_hex("hunter2hunter2!!hunter2hunter2!!")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_key_is_read_from_hex() -> None:
    assert Key.from_hex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF") == AK
    assert Secret.from_hex("616263").octets == b"abc"
