"""Every kind of protection: what is protected comes back with what it proves, and everything else is refused."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import apdu, security
from drivers.dlms.security import (
    SUITES,
    EndToEndProtection,
    GeneralProtection,
    Key,
    KeyByOnePass,
    KeyByStaticUnified,
    KeyByWrapping,
    KeyId,
    LayeredProtection,
    Parties,
    PrivateKey,
    Protection,
    ServiceProtection,
    SharedKey,
    SignatureProtection,
)
from profiles.errors import HeadEndError, ProtocolError, SecurityError

CLIENT, METER, STRANGER = b"MDMTITLE", b"MTRTITLE", b"STRANGER"
EK, AK, DEDICATED = Key(bytes(range(16))), Key(bytes(range(0xD0, 0xE0))), Key(bytes(range(32, 48)))
LONG_EK, LONG_AK = Key(bytes(range(32))), Key(bytes(range(0xC0, 0xE0)))
GET = bytes.fromhex("c001c100080000010000ff0200")
KEYS = {
    name: PrivateKey.generate(SUITES[1]) for name in ("client signs", "client agrees", "meter signs", "meter agrees")
}

Kind = Callable[[Parties, bool], Protection]
"""Makes the protection of one side; True for the client's."""


def one_pass(client: bool) -> KeyByOnePass:
    us, them = ("client", "meter") if client else ("meter", "client")
    return KeyByOnePass(
        KEYS[f"{us} signs"], KEYS[f"{us} agrees"], KEYS[f"{them} signs"].public, KEYS[f"{them} agrees"].public
    )


def static_unified(client: bool) -> KeyByStaticUnified:
    us, them = ("client", "meter") if client else ("meter", "client")
    return KeyByStaticUnified(KEYS[f"{us} agrees"], KEYS[f"{them} agrees"].public)


def signature(parties: Parties, client: bool) -> SignatureProtection:
    us, them = ("client", "meter") if client else ("meter", "client")
    return SignatureProtection(parties, KEYS[f"{us} signs"], KEYS[f"{them} signs"].public)


def end_to_end(parties: Parties, client: bool) -> EndToEndProtection:
    return EndToEndProtection(parties, 0x31, one_pass(client), AK)


KINDS: dict[str, tuple[int, Kind]] = {
    "glo": (0xC8, lambda parties, client: ServiceProtection(parties, 0x30, EK, AK)),
    "glo, authenticated": (0xC8, lambda parties, client: ServiceProtection(parties, 0x10, EK, AK)),
    "glo, suite 1": (0xC8, lambda parties, client: ServiceProtection(parties, 0x31, EK, AK)),
    "glo, suite 2": (0xC8, lambda parties, client: ServiceProtection(parties, 0x32, LONG_EK, LONG_AK)),
    "ded": (0xD0, lambda parties, client: ServiceProtection(parties, 0x30, DEDICATED, AK, dedicated=True)),
    "general-glo": (0xDB, lambda parties, client: GeneralProtection(parties, 0x30, EK, AK)),
    "general-glo, broadcast": (0xDB, lambda parties, client: GeneralProtection(parties, 0x70, EK, AK)),
    "general-glo, suite 2": (0xDB, lambda parties, client: GeneralProtection(parties, 0x32, LONG_EK, LONG_AK)),
    "general-ded": (0xDC, lambda parties, client: GeneralProtection(parties, 0x30, DEDICATED, AK, dedicated=True)),
    "identified": (0xDD, lambda parties, client: EndToEndProtection(parties, 0x30, SharedKey(EK), AK)),
    "identified, authenticated": (0xDD, lambda parties, client: EndToEndProtection(parties, 0x10, SharedKey(EK), AK)),
    "identified, broadcast": (
        0xDD,
        lambda parties, client: EndToEndProtection(parties, 0x70, SharedKey(EK, KeyId.GLOBAL_BROADCAST_ENCRYPTION), AK),
    ),
    "wrapped": (0xDD, lambda parties, client: EndToEndProtection(parties, 0x30, KeyByWrapping(DEDICATED), AK)),
    "wrapped, suite 2": (
        0xDD,
        lambda parties, client: EndToEndProtection(parties, 0x32, KeyByWrapping(LONG_EK), LONG_AK),
    ),
    "one-pass": (0xDD, end_to_end),
    "static unified": (
        0xDD,
        lambda parties, client: EndToEndProtection(parties, 0x31, static_unified(client), AK),
    ),
    "signed": (0xDF, signature),
    "ciphered, then signed": (
        0xDF,
        lambda parties, client: LayeredProtection(end_to_end(parties, client), signature(parties, client)),
    ),
    "signed, then ciphered": (
        0xDB,
        lambda parties, client: LayeredProtection(signature(parties, client), GeneralProtection(parties, 0x31, EK, AK)),
    ),
}
LASTING = {name for name in KINDS if name.startswith(("glo", "ded", "general", "identified"))}
"""Kinds whose counter is one of a key that lasts."""
WITH_HEADER = {name for name, (tag, _) in KINDS.items() if tag in (0xDD, 0xDF)} | {"signed, then ciphered"}


def client(kind: str, peer: bytes = METER, own: bytes = CLIENT, first: int = 7) -> Protection:
    return KINDS[kind][1](Parties(own, peer, itertools.count(first).__next__), True)


def meter(kind: str, peer: bytes = CLIENT, own: bytes = METER, first: int = 7) -> Protection:
    return KINDS[kind][1](Parties(own, peer, itertools.count(first).__next__), False)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_request_and_its_answer_pass_and_say_what_their_protection_proves(kind: str) -> None:
    protected = client(kind).protect(GET)
    assert protected[0] == KINDS[kind][0]
    assert apdu.decode(protected).encode() == protected
    opened = meter(kind).unprotect(protected)
    assert opened.plain == GET
    assert opened.title == CLIENT
    assert opened.authenticated
    assert opened.signed_by == (CLIENT if "signed" in kind else b"")
    assert bool(opened.transaction_id) == (kind in WITH_HEADER)

    answer = bytes.fromhex("c401c1000600000001")
    back = client(kind).unprotect(meter(kind).protect(answer, opened.transaction_id))
    assert (back.plain, back.title, back.transaction_id) == (answer, METER, opened.transaction_id)


def test_a_long_apdu_passes(kind: str) -> None:
    plain = GET + bytes(5000)
    assert meter(kind).unprotect(client(kind).protect(plain)).plain == plain


def test_no_two_apdus_are_protected_alike(kind: str) -> None:
    sender = client(kind)
    assert sender.protect(GET) != sender.protect(GET)


def test_one_altered_bit_in_any_octet_is_refused(kind: str) -> None:
    protected, receiver = client(kind).protect(GET), meter(kind)
    for place in range(len(protected)):
        altered = bytearray(protected)
        altered[place] ^= 0x01
        with pytest.raises((SecurityError, ProtocolError)):
            receiver.unprotect(bytes(altered), 6)


def test_cut_anywhere_or_longer_it_is_refused(kind: str) -> None:
    protected, receiver = client(kind).protect(GET), meter(kind)
    for wrong in [*(protected[:size] for size in range(len(protected))), protected + b"\x00"]:
        with pytest.raises((SecurityError, ProtocolError)):
            receiver.unprotect(wrong)


def test_plaintext_and_every_other_kind_of_protection_is_refused(kind: str) -> None:
    receiver = meter(kind)
    for plain in (GET, b"", bytes.fromhex("d80102"), bytes.fromhex("0e010601")):
        with pytest.raises(SecurityError):
            receiver.unprotect(plain)
    for other in KINDS:
        # A signature around a protected APDU is right; what it holds is for another layer.
        if other != kind and (kind, other) != ("signed", "ciphered, then signed"):
            with pytest.raises(SecurityError):
                receiver.unprotect(client(other).protect(GET))


def test_another_sender_than_the_registered_one_is_refused(kind: str) -> None:
    with pytest.raises(SecurityError):
        meter(kind).unprotect(client(kind, own=STRANGER).protect(GET))


def test_ones_own_apdu_sent_back_is_refused(kind: str) -> None:
    sender = client(kind)
    with pytest.raises(SecurityError):
        sender.unprotect(sender.protect(GET))


def test_a_counter_that_does_not_rise_is_refused_where_the_key_lasts_and_told_of_nowhere_else(kind: str) -> None:
    protected = client(kind).protect(GET)
    opened = meter(kind).unprotect(protected, 6)
    if kind in LASTING:
        assert opened.counter == 7
        for last in (7, 8):
            with pytest.raises(SecurityError, match="replay refused"):
                meter(kind).unprotect(protected, last)
    elif kind == "signed, then ciphered":
        assert opened.counter is not None
    else:
        assert opened.counter is None


@pytest.mark.parametrize("kind", [name for name, (tag, _) in KINDS.items() if tag in (0xDD, 0xDF)])
def test_an_apdu_for_another_recipient_is_refused(kind: str) -> None:
    with pytest.raises(SecurityError, match="not for us"):
        meter(kind).unprotect(client(kind, peer=STRANGER).protect(GET))


@pytest.mark.parametrize("kind", [name for name in KINDS if KINDS[name][0] in (0xDB, 0xDC, 0xDD, 0xDF)])
def test_a_sender_that_is_not_registered_is_learnt_from_the_apdu(kind: str) -> None:
    assert meter(kind, peer=b"").unprotect(client(kind).protect(GET)).title == CLIENT


@pytest.mark.parametrize("kind", ["glo", "ded"])
def test_a_sender_that_neither_side_names_is_refused(kind: str) -> None:
    with pytest.raises(SecurityError, match="sender is not known"):
        meter(kind, peer=b"").unprotect(client(kind).protect(GET))


@pytest.mark.parametrize("dedicated", [False, True])
def test_general_ciphering_without_a_title_is_the_registered_senders(dedicated: bool) -> None:
    receiver = GeneralProtection(Parties(CLIENT, METER, itertools.count().__next__), 0x30, EK, AK, dedicated)
    content = security.protect(0x30, EK, AK, METER, 9, GET)
    untitled = bytes([0xDC if dedicated else 0xDB, 0, len(content)]) + content
    opened = receiver.unprotect(untitled)
    assert (opened.plain, opened.title, opened.counter) == (GET, METER, 9)


def test_another_service_than_the_tag_names_is_refused() -> None:
    protected = bytearray(client("glo").protect(GET))
    protected[0] = 0xCB
    with pytest.raises(SecurityError, match="not the one that its tag names"):
        meter("glo").unprotect(bytes(protected))


@pytest.mark.parametrize("dedicated", [False, True])
def test_what_has_no_service_specific_form_is_not_protected_by_one(dedicated: bool) -> None:
    sender = ServiceProtection(Parties(CLIENT, METER, itertools.count().__next__), 0x30, EK, AK, dedicated)
    for plain in (b"", bytes.fromhex("d9400000000000"), bytes.fromhex("0f00000001")):
        with pytest.raises(SecurityError, match=r"no (globally|dedicatedly) ciphered form"):
            sender.protect(plain)


def test_encryption_without_a_tag_is_opened_where_required_and_said_not_to_be_authenticated() -> None:
    parties = Parties(METER, CLIENT, itertools.count().__next__)
    sender = Parties(CLIENT, METER, itertools.count(1).__next__)
    for make in (ServiceProtection, GeneralProtection):
        opened = make(parties, 0x20, EK, AK).unprotect(make(sender, 0x20, EK, AK).protect(GET))
        assert (opened.plain, opened.authenticated) == (GET, False)


def test_a_signature_around_another_senders_or_transactions_apdu_is_refused() -> None:
    outer = signature(Parties(CLIENT, METER, itertools.count().__next__), True)
    unknown = Parties(METER, b"", itertools.count().__next__)
    receiver = LayeredProtection(EndToEndProtection(unknown, 0x30, SharedKey(EK), AK), signature(unknown, False))
    for sender, transaction in ((STRANGER, b"\x01"), (CLIENT, b"\x02")):
        inner = EndToEndProtection(Parties(sender, METER, itertools.count().__next__), 0x30, SharedKey(EK), AK)
        with pytest.raises(SecurityError, match="inside another's"):
            receiver.unprotect(outer.protect(inner.protect(GET, transaction), b"\x01"))


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=120))
def test_garbage_behind_the_right_tag_ends_in_an_error_of_ours(kind: str, garbage: bytes) -> None:
    with pytest.raises(HeadEndError):
        meter(kind).unprotect(bytes([KINDS[kind][0]]) + garbage)


def test_neither_a_protection_nor_what_it_opened_shows_a_key_or_the_plaintext(kind: str) -> None:
    shown = repr(client(kind)) + repr(meter(kind).unprotect(client(kind).protect(GET))) + str(client(kind))
    keys = [key.octets for key in (EK, AK, DEDICATED, LONG_EK, LONG_AK)] + [key.octets for key in KEYS.values()]
    for secret in (*keys, GET):
        assert secret.hex()[:8] not in shown.lower()
        assert repr(secret)[2:10] not in shown


def test_a_push_recorded_from_a_meter_in_the_field_is_opened() -> None:
    text = (Path(__file__).parent / "vectors" / "green_book.json").read_text(encoding="ascii")
    vector = {vector["id"]: vector for vector in json.loads(text)}["u9n-general-glo-datanotification"]
    receiver = GeneralProtection(
        Parties(CLIENT, b"", itertools.count().__next__), 0x30, Key.from_hex(vector["ek"]), Key.from_hex(vector["ak"])
    )
    opened = receiver.unprotect(bytes.fromhex(vector["apdu"]), 0)
    assert opened.plain.hex() == vector["plain"]
    assert opened.title.hex() == "2f19229199164103"
