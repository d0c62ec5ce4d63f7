"""Pushes under every cover: what is opened says what is proven, what is below policy or altered is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.credentials import CounterRange, Credentials
from drivers.dlms import apdu, axdr, security
from drivers.dlms.apdu import DataNotification, DataNotificationConfirm, EventNotification
from drivers.dlms.security import (
    SUITES,
    EndToEndProtection,
    GeneralProtection,
    Key,
    KeyByOnePass,
    KeyByStaticUnified,
    KeyByWrapping,
    LayeredProtection,
    Parties,
    PrivateKey,
    Protection,
    ServiceProtection,
    SharedKey,
    SignatureProtection,
)
from drivers.push import (
    CLEAR,
    Arrival,
    Freshness,
    Push,
    PushingMeter,
    PushPolicy,
    ReplayWindow,
    Route,
    accept,
    open_push,
    title_of,
)
from profiles.errors import HeadEndError, ProtocolError, SecurityError
from profiles.objects import AttributeRef, Obis

METER, HEADEND, STRANGER = b"ALL00001", b"HES00001", b"STRANGER"
EK, AK, DEDICATED, MASTER = (Key(bytes(range(first, first + 16))) for first in (0, 0xD0, 32, 64))
KEYS = {name: PrivateKey.generate(SUITES[1]) for name in ("hes signs", "hes agrees", "meter signs", "meter agrees")}
BODY = axdr.structure(axdr.octet_string(b"ALL1234567"), axdr.uint32(5852), axdr.uint16(2301))
PUSHED = DataNotification(0x8000_0007, BODY, bytes.fromhex("07ea0101040f0000ff800000"))
WANTS_ANSWER = DataNotification(0xC000_0007, BODY)
EVENT = EventNotification(AttributeRef(1, Obis(0, 0, 94, 91, 18), 2), axdr.bit_string("1" * 128))
ROUTE = Route("wrapper", 1, 64)

Cover = Callable[[Parties], Protection]


def one_pass(us: str, them: str) -> KeyByOnePass:
    return KeyByOnePass(
        KEYS[f"{us} signs"], KEYS[f"{us} agrees"], KEYS[f"{them} signs"].public, KEYS[f"{them} agrees"].public
    )


def signature(parties: Parties) -> SignatureProtection:
    return SignatureProtection(parties, KEYS["meter signs"], KEYS["hes signs"].public)


COVERS: dict[str, tuple[int, Cover]] = {
    "general-glo": (0x30, lambda us: GeneralProtection(us, 0x30, EK, AK)),
    "general-glo, authenticated": (0x10, lambda us: GeneralProtection(us, 0x10, EK, AK)),
    "general-glo, encrypted": (0x20, lambda us: GeneralProtection(us, 0x20, EK, AK)),
    "general-glo, suite 1": (0x31, lambda us: GeneralProtection(us, 0x31, EK, AK)),
    "general-ded": (0x30, lambda us: GeneralProtection(us, 0x30, DEDICATED, AK, dedicated=True)),
    "glo": (0x30, lambda us: ServiceProtection(us, 0x30, EK, AK)),
    "ded": (0x30, lambda us: ServiceProtection(us, 0x30, DEDICATED, AK, dedicated=True)),
    "identified": (0x30, lambda us: EndToEndProtection(us, 0x30, SharedKey(EK), AK)),
    "wrapped": (0x30, lambda us: EndToEndProtection(us, 0x30, KeyByWrapping(MASTER), AK)),
    "one-pass": (0x31, lambda us: EndToEndProtection(us, 0x31, one_pass("meter", "hes"), AK)),
    "static unified": (
        0x31,
        lambda us: EndToEndProtection(
            us, 0x31, KeyByStaticUnified(KEYS["meter agrees"], KEYS["hes agrees"].public), AK
        ),
    ),
    "signed": (CLEAR, signature),
    "ciphered, then signed": (
        0x30,
        lambda us: LayeredProtection(GeneralProtection(us, 0x30, EK, AK), signature(us)),
    ),
    "encrypted, then signed": (
        0x20,
        lambda us: LayeredProtection(GeneralProtection(us, 0x20, EK, AK), signature(us)),
    ),
    "signed, then ciphered": (
        0x30,
        lambda us: LayeredProtection(signature(us), GeneralProtection(us, 0x30, EK, AK)),
    ),
    "signed, then encrypted": (
        0x20,
        lambda us: LayeredProtection(signature(us), GeneralProtection(us, 0x20, EK, AK)),
    ),
}
BY_SERVICE = {"glo", "ded"}
"""Covers that only an event-notification has, and that name no system title."""
UNPROVEN = {"general-glo, encrypted"}
ONE_OFF = {"wrapped", "one-pass", "static unified", "signed"}
"""Covers under a key for one push, or without a counter: told apart by their transaction-id."""


@pytest.fixture(params=COVERS)
def cover(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sent(cover: str, notification: apdu.Apdu | None = None, counter: int = 9, title: bytes = METER) -> Arrival:
    notification = notification or (EVENT if cover in BY_SERVICE else PUSHED)
    us = Parties(title, HEADEND, itertools.count(counter).__next__)
    return Arrival(COVERS[cover][1](us).protect(notification.encode()), ROUTE, "[::1]:4059")


def registered(policy: PushPolicy, title: bytes = METER, **changes: object) -> PushingMeter:
    credentials = Credentials(
        HEADEND,
        EK,
        AK,
        counters=CounterRange(1, 100),
        signing_key=KEYS["hes signs"],
        agreement_key=KEYS["hes agrees"],
        peer_signing_key=KEYS["meter signs"].public,
        peer_agreement_key=KEYS["meter agrees"].public,
        master_key=MASTER,
    )
    return PushingMeter("M-1", title, replace(credentials, **changes), policy, DEDICATED)  # type: ignore[arg-type]


def allowing(cover: str) -> PushingMeter:
    """The meter, of a type that lets in this cover and no other."""
    return registered(PushPolicy(frozenset({COVERS[cover][0]}), signed="signed" in cover))


def altered(arrival: Arrival, octets: bytes) -> Arrival:
    return replace(arrival, apdu=octets)


# --- what is let in -------------------------------------------------------------------------------------------


def test_a_push_says_who_sent_it_how_it_was_covered_and_what_that_proves(cover: str) -> None:
    arrival = sent(cover)
    assert title_of(arrival.apdu) == (b"" if cover in BY_SERVICE else METER)
    push = open_push(arrival, allowing(cover))
    assert push.notification == (EVENT if cover in BY_SERVICE else PUSHED)
    assert (push.title, push.meter.name, push.arrival) == (METER, "M-1", arrival)
    assert (push.cover.control, push.cover.signed) == (COVERS[cover][0], "signed" in cover)
    assert push.authenticated == (cover not in UNPROVEN)
    assert push.dedicated == ("ded" in cover.split("-") or cover == "ded")
    if cover in ONE_OFF:
        assert (push.replay, push.counter, len(push.transaction_id)) == ("transaction-id", None, 8)
    else:
        assert push.counter is not None
        assert push.replay == ("nothing" if cover in UNPROVEN else "counter")


def test_the_layers_are_named_from_the_outside_in() -> None:
    both = open_push(sent("ciphered, then signed"), allowing("ciphered, then signed"))
    assert both.cover.layers == ("general-signing", "general-glo-ciphering")
    assert str(both.cover) == "0x30 in general-signing, general-glo-ciphering"
    turned = open_push(sent("signed, then ciphered"), allowing("signed, then ciphered"))
    assert turned.cover.layers == ("general-glo-ciphering", "general-signing")


@pytest.mark.parametrize("notification", [PUSHED, EVENT], ids=lambda value: value.name)
def test_a_push_in_clear_is_let_in_where_its_type_says_so_and_flagged(notification: DataNotification) -> None:
    push = open_push(Arrival(notification.encode(), ROUTE), registered(PushPolicy(frozenset({CLEAR}))))
    assert push.notification == notification
    assert (push.authenticated, push.counter, push.replay, str(push.cover)) == (False, None, "nothing", "in clear")


def test_encryption_only_with_a_counter_of_zero_is_let_in_where_its_type_says_so_and_flagged() -> None:
    meter = registered(PushPolicy(frozenset({0x20})), authentication_key=None)
    for _ in range(2):
        push = open_push(sent("general-glo, encrypted", counter=0), meter)
        assert (push.notification, push.authenticated, push.counter, push.replay) == (PUSHED, False, 0, "nothing")


def test_a_counter_that_its_type_leaves_constant_tells_no_replays() -> None:
    policy = PushPolicy(constant_counter=True)
    push = open_push(sent("general-glo", counter=0), registered(policy))
    assert (push.authenticated, push.counter, push.replay) == (True, 0, "nothing")


def test_general_ciphering_without_a_title_is_opened_for_who_it_is_registered_to() -> None:
    content = security.protect(0x30, EK, AK, METER, 9, PUSHED.encode())
    arrival = Arrival(apdu.GeneralGloCiphering(b"", content).encode(), ROUTE)
    assert title_of(arrival.apdu) == b""
    assert open_push(arrival, registered(PushPolicy())).title == METER


# --- policy ---------------------------------------------------------------------------------------------------


def test_every_other_cover_than_the_one_demanded_is_refused_by_name(cover: str) -> None:
    control, signed = COVERS[cover][0], "signed" in cover
    others = {0x00, 0x10, 0x20, 0x30, 0x31, 0x32} - {control}
    demanded = PushPolicy(frozenset(others))
    with pytest.raises(SecurityError) as refused:
        open_push(sent(cover), registered(demanded))
    text = str(refused.value)
    assert METER.hex().upper() in text
    assert "0x10 or 0x20" in text or "clear or" in text
    assert (
        f"came in clear in {'general-signing' if signed else ''}" in text
        if control == 0
        else f"0x{control:02x}" in text
    )
    if not signed:
        with pytest.raises(SecurityError, match="with a signature is demanded"):
            open_push(sent(cover), registered(PushPolicy(frozenset({control}), signed=True)))


def test_plaintext_is_refused_where_protection_is_demanded() -> None:
    for policy in (PushPolicy(), PushPolicy(frozenset({0x20})), PushPolicy(frozenset({CLEAR}), signed=True)):
        with pytest.raises(SecurityError, match="came in clear"):
            open_push(Arrival(PUSHED.encode(), ROUTE), registered(policy))


def test_a_sender_that_is_not_registered_is_refused_by_its_title(cover: str) -> None:
    with pytest.raises(SecurityError, match="not registered") as refused:
        open_push(sent(cover), None)
    assert (METER.hex().upper() in str(refused.value)) == (cover not in BY_SERVICE)
    assert "[::1]:4059" in str(refused.value)


def test_another_title_than_the_registered_one_is_refused(cover: str) -> None:
    with pytest.raises(SecurityError):
        open_push(sent(cover, title=STRANGER), allowing(cover))


def test_a_security_control_that_protects_nothing_is_no_way_round_the_policy() -> None:
    content = bytes([0x00, 0, 0, 0, 9]) + PUSHED.encode()
    arrival = Arrival(apdu.GeneralGloCiphering(METER, content).encode(), ROUTE)
    for policy in (PushPolicy(), PushPolicy(frozenset({CLEAR}))):
        with pytest.raises(SecurityError, match="protects nothing"):
            open_push(arrival, registered(policy))


def test_compression_and_unknown_suites_are_refused() -> None:
    for control in (0xB0, 0x3F):
        content = bytes([control]) + security.protect(0x30, EK, AK, METER, 9, PUSHED.encode())[1:]
        arrival = Arrival(apdu.GeneralGloCiphering(METER, content).encode(), ROUTE)
        for policy in (PushPolicy(), PushPolicy(frozenset({control}))):
            with pytest.raises(SecurityError):
                open_push(arrival, registered(policy))


@pytest.mark.parametrize(
    ("cover", "missing"),
    [
        ("general-glo", "encryption_key"),
        ("general-glo", "authentication_key"),
        ("wrapped", "master_key"),
        ("one-pass", "agreement_key"),
        ("static unified", "peer_agreement_key"),
        ("signed", "peer_signing_key"),
    ],
)
def test_a_missing_key_is_said_to_be_missing(cover: str, missing: str) -> None:
    meter = registered(allowing(cover).policy, **{missing: None})
    with pytest.raises(SecurityError, match="needs"):
        open_push(sent(cover), meter)


# --- attacks --------------------------------------------------------------------------------------------------


def test_one_altered_bit_in_any_octet_is_refused_or_where_nothing_can_tell_flagged(cover: str) -> None:
    arrival, meter = sent(cover), allowing(cover)
    let_in = 0
    for place in range(len(arrival.apdu)):
        octets = bytearray(arrival.apdu)
        octets[place] ^= 0x01
        try:
            push = open_push(altered(arrival, bytes(octets)), meter)
        except (SecurityError, ProtocolError):
            continue
        assert not push.authenticated
        let_in += 1
    assert bool(let_in) == (cover in UNPROVEN)


def test_a_zeroed_tag_is_refused() -> None:
    arrival = sent("general-glo")
    with pytest.raises(SecurityError, match="tag does not fit"):
        open_push(altered(arrival, arrival.apdu[:-12] + bytes(12)), allowing("general-glo"))


def test_a_push_cut_anywhere_or_with_octets_added_is_refused(cover: str) -> None:
    arrival, meter = sent(cover), allowing(cover)
    for octets in [*(arrival.apdu[:size] for size in range(len(arrival.apdu))), arrival.apdu + b"\x00"]:
        with pytest.raises((SecurityError, ProtocolError)):
            open_push(altered(arrival, octets), meter)


def test_another_key_is_refused(cover: str) -> None:
    other = Key(bytes(range(100, 116)))
    meter = replace(
        registered(allowing(cover).policy, encryption_key=other, master_key=other, agreement_key=KEYS["hes signs"]),
        dedicated_key=other,
    )
    if cover == "signed":
        meter = registered(meter.policy, peer_signing_key=KEYS["meter agrees"].public)
    with pytest.raises(SecurityError):
        open_push(sent(cover), meter)


def test_protection_taken_off_or_replaced_by_a_lower_one_is_refused(cover: str) -> None:
    for lower in ("general-glo, encrypted", "general-glo, authenticated", "signed"):
        if COVERS[lower][0] != COVERS[cover][0]:
            with pytest.raises(SecurityError, match="is demanded"):
                open_push(sent(lower), allowing(cover))
    if cover in BY_SERVICE:
        return
    with pytest.raises(SecurityError, match="came in clear"):
        open_push(Arrival(PUSHED.encode(), ROUTE), allowing(cover))


@pytest.mark.parametrize("name", sorted(set(COVERS) - UNPROVEN))
def test_a_replayed_push_is_told_by_its_counter_or_its_transaction(name: str) -> None:
    arrival, meter = sent(name), allowing(name)
    first, again = open_push(arrival, meter), open_push(arrival, meter)
    if first.replay == "counter":
        assert first.counter is not None
        assert again.counter is not None
        window, said = accept(ReplayWindow(), [first.counter, again.counter])
        assert said == [Freshness.NEW, Freshness.DUPLICATE]
        later = open_push(sent(name, counter=500), meter)
        assert later.counter is not None
        window, said = accept(window, [later.counter, again.counter])
        assert said == [Freshness.NEW, Freshness.TOO_OLD]
    else:
        assert first.transaction_id == again.transaction_id != open_push(sent(name), meter).transaction_id


def test_a_transaction_that_no_tag_and_no_signature_covers_tells_nothing() -> None:
    us = Parties(METER, HEADEND, itertools.count(9).__next__)
    unnamed = apdu.GeneralHeader(b"", METER, HEADEND)
    unsigned = apdu.GeneralSigning(unnamed, PUSHED.encode(), b"")
    inner = replace(unsigned, signature=KEYS["meter signs"].sign(unsigned.signed)).encode()
    arrival = Arrival(EndToEndProtection(us, 0x20, KeyByWrapping(MASTER), AK).protect(inner), ROUTE)
    push = open_push(arrival, registered(PushPolicy(frozenset({0x20}), signed=True)))
    assert (push.authenticated, push.transaction_id, push.replay) == (True, b"", "nothing")


def test_what_is_no_notification_is_refused_however_well_it_is_protected(cover: str) -> None:
    request = apdu.GetRequestNormal(0xC1, AttributeRef(8, Obis(0, 0, 1, 0, 0), 2))
    with pytest.raises((ProtocolError, SecurityError)):
        open_push(sent(cover, request), allowing(cover))
    with pytest.raises(ProtocolError, match="not a notification"):
        open_push(Arrival(request.encode(), ROUTE), allowing(cover))


def test_a_body_that_is_no_data_is_refused(cover: str) -> None:
    broken = replace(EVENT if cover in BY_SERVICE else PUSHED, data=b"\x02\x05\x00")
    with pytest.raises((ProtocolError, SecurityError)):
        open_push(sent(cover, broken), allowing(cover))


def test_covers_nested_beyond_reason_are_refused() -> None:
    us = Parties(METER, HEADEND, itertools.count(9).__next__)
    glo = GeneralProtection(us, 0x30, EK, AK)
    twice = [
        glo.protect(glo.protect(PUSHED.encode())),
        signature(us).protect(signature(us).protect(PUSHED.encode())),
        glo.protect(signature(us).protect(glo.protect(PUSHED.encode()))),
    ]
    for octets in twice:
        with pytest.raises(ProtocolError):
            open_push(Arrival(octets, ROUTE), registered(PushPolicy(frozenset({0x30, CLEAR}))))


@given(st.sampled_from([0x0F, 0xC2, 0xCA, 0xD2, *range(0xDB, 0xE8)]), st.binary(max_size=80))
def test_garbage_behind_any_tag_ends_in_an_error_of_ours(tag: int, garbage: bytes) -> None:
    meter = registered(PushPolicy(frozenset({0x30})))
    with pytest.raises(HeadEndError):
        open_push(Arrival(bytes([tag]) + garbage, ROUTE), meter)
    with pytest.raises(HeadEndError):
        open_push(Arrival(bytes([tag]) + garbage, ROUTE), None)


# --- confirmation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(COVERS) - BY_SERVICE))
def test_a_confirmed_notification_is_confirmed_under_the_same_cover(name: str) -> None:
    meter_side = COVERS[name][1](Parties(METER, HEADEND, itertools.count(9).__next__))
    arrival = Arrival(meter_side.protect(WANTS_ANSWER.encode()), ROUTE)
    push = open_push(arrival, allowing(name))
    confirmation = push.confirmation()
    assert confirmation is not None
    assert confirmation[0] == arrival.apdu[0]
    opened = meter_side.unprotect(confirmation)
    assert opened.title == HEADEND
    assert opened.transaction_id == push.transaction_id
    assert apdu.decode(opened.plain) == DataNotificationConfirm(0xC000_0007)


def test_each_confirmation_takes_a_counter_of_its_own() -> None:
    us = Parties(METER, HEADEND, itertools.count(9).__next__)
    meter_side, meter = GeneralProtection(us, 0x30, EK, AK), registered(PushPolicy())
    counters = set()
    for _ in range(3):
        push = open_push(Arrival(meter_side.protect(WANTS_ANSWER.encode()), ROUTE), meter)
        confirmation = push.confirmation()
        assert confirmation is not None
        counters.add(meter_side.unprotect(confirmation).counter)
    assert counters == {1, 2, 3}


def test_a_push_in_clear_is_confirmed_in_clear() -> None:
    meter = registered(PushPolicy(frozenset({CLEAR})))
    push = open_push(Arrival(WANTS_ANSWER.encode(), ROUTE), meter)
    assert push.confirmation() == DataNotificationConfirm(0xC000_0007).encode()


def test_what_asks_for_no_confirmation_or_may_get_none_is_not_confirmed() -> None:
    clear = frozenset({CLEAR})
    for notification, policy in (
        (PUSHED, PushPolicy(clear)),
        (EVENT, PushPolicy(clear)),
        (WANTS_ANSWER, PushPolicy(clear, confirmed=False)),
    ):
        assert open_push(Arrival(notification.encode(), ROUTE), registered(policy)).confirmation() is None


def test_without_a_counter_of_ours_nothing_is_confirmed() -> None:
    meter_side = COVERS["general-glo"][1](Parties(METER, HEADEND, itertools.count(9).__next__))
    meter = registered(PushPolicy(), counters=CounterRange(5, 5))
    push = open_push(Arrival(meter_side.protect(WANTS_ANSWER.encode()), ROUTE), meter)
    with pytest.raises(SecurityError, match="used up"):
        push.confirmation()


def test_a_push_shows_neither_keys_nor_what_was_pushed(cover: str) -> None:
    push: Push = open_push(sent(cover), allowing(cover))
    shown = repr(push).lower()
    for secret in (EK.octets, AK.octets, DEDICATED.octets, MASTER.octets, BODY):
        assert secret.hex()[:8] not in shown
        assert repr(secret)[2:12].lower() not in shown
