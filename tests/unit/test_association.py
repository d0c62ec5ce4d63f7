"""The client association against a list of recorded or forged answers; no socket is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from drivers.credentials import CounterRange, Credentials
from drivers.dlms import acse, apdu, axdr, security
from drivers.dlms.apdu import Conformance
from drivers.dlms.association import MAX_PASSED_OVER, TRANSITIONS, State
from drivers.dlms.client import Client
from drivers.dlms.security import Key, Secret
from drivers.service import Send, Service
from profiles.errors import (
    AccessDenied,
    HeadEndError,
    IdentityMismatch,
    LinkTimeout,
    MeterBusy,
    ProtocolError,
    SecurityError,
)
from profiles.loader import load_meter_type
from profiles.objects import AttributeRef, Obis

EK = Key.from_hex("000102030405060708090A0B0C0D0E0F")
AK = Key.from_hex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF")
METER = bytes.fromhex("4D4D4D0000BC614E")
CLIENT = bytes.fromhex("4845530102030405")
CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
TYPE = load_meter_type("is15959-1ph")
PUBLIC, READER, UTILITY = (TYPE.associations[name] for name in ("public", "meter_reader", "utility_setting"))
GMAC = replace(UTILITY, mechanism=5)

Answer = bytes | Callable[[bytes], bytes] | HeadEndError


def credentials(**changes: Any) -> Credentials:
    fields = {
        "client_title": CLIENT,
        "encryption_key": EK,
        "authentication_key": AK,
        "secret": Secret(b"0123456789ABCDEF"),
        "counters": CounterRange(100, 200),
    }
    return Credentials(**(fields | changes))


def drive(service: Service[Any], answers: Iterable[Answer]) -> tuple[Any, list[bytes]]:
    """Run a service; each Receive gets the next answer (made from the last APDU sent, if it is a function)."""
    waiting, sent = iter(answers), []
    try:
        step = next(service)
        while True:
            if isinstance(step, Send):
                sent.append(step.apdu)
                step = service.send(None)
                continue
            answer = next(waiting)
            if isinstance(answer, HeadEndError):
                step = service.throw(answer)
            else:
                step = service.send(answer(sent[-1]) if callable(answer) else answer)
    except StopIteration as done:
        assert next(waiting, None) is None, "every answer was taken"
        return done.value, sent


class Meter:
    """The other end's keys and counter: makes what a genuine meter would answer."""

    def __init__(self, control: int = 0x30, counter: int = 7) -> None:
        self.control, self.counter = control, counter

    def cipher(self, plain: bytes, *, control: int | None = None, title: bytes = METER, key: Key = EK) -> bytes:
        self.counter += 1
        protected = security.protect(control or self.control, key, AK, title, self.counter, plain)
        return security.glo_wrap(plain, protected)

    def aare(self, **changes: Any) -> bytes:
        response = apdu.InitiateResponse(conformance=int(Conformance(0xFFFFFF)), max_pdu=1024).encode()
        fields: dict[str, Any] = {
            "result": 0,
            "diagnostic": 0,
            "ciphered": True,
            "system_title": METER,
            "mechanism": 1,
            "user_information": changes.pop("user_information", None) or self.cipher(response),
        }
        return acse.encode_aare(**(fields | changes))

    def value(self, data: bytes) -> Callable[[bytes], bytes]:
        return lambda request: self.cipher(apdu.GetResponseNormal(invoke_id(request), data).encode())

    def block(self, number: int, data: bytes, last: bool) -> Callable[[bytes], bytes]:
        return lambda request: self.cipher(
            apdu.GetResponseBlock(invoke_id(request), last=last, block=number, data=data).encode()
        )


def opened(request: bytes, title: bytes = CLIENT) -> tuple[bytes, int]:
    """A request as the meter reads it: plain APDU and invocation counter."""
    _, protected = security.glo_unwrap(request)
    result = security.unprotect(0x30, EK, AK, title, protected, None)
    return result.plain, result.counter


def invoke_id(request: bytes) -> int:
    return opened(request)[0][2]


def associated(meter: Meter, **options: Any) -> Client:
    association = Client(READER, credentials(), **options)
    drive(association.open(), [meter.aare()])
    return association


def test_a_ciphered_association_reads_and_releases_with_rising_counters() -> None:
    meter = Meter()
    association = Client(READER, credentials(), server_title=METER)
    _, [aarq] = drive(association.open(), [meter.aare()])
    asked = acse.decode_aarq(aarq)
    assert (asked.ciphered, asked.mechanism, asked.client_title) == (True, 1, CLIENT)
    assert asked.authentication_value == b"0123456789ABCDEF"
    plain, counter = opened(asked.user_information)
    assert (plain[0], counter) == (0x01, 100)

    data, [request] = drive(association.get(CLOCK), [meter.value(axdr.uint8(5))])
    plain, counter = opened(request)
    decoded = apdu.decode(plain)
    assert isinstance(decoded, apdu.GetRequestNormal)
    assert (data, counter, decoded.attribute) == (axdr.uint8(5), 101, CLOCK)

    _, [rlrq] = drive(association.release(), [acse.encode_rlre()])
    assert opened(acse.decode_rlrq(rlrq).user_information or b"")[1] == 102
    assert association.state is State.IDLE


def test_an_association_without_security_sends_everything_in_clear() -> None:
    response = apdu.InitiateResponse(conformance=Conformance.GET, max_pdu=560).encode()
    association = Client(PUBLIC, Credentials())
    aare = acse.encode_aare(result=0, diagnostic=0, user_information=response)
    _, [aarq] = drive(association.open(), [aare])
    assert acse.decode_aarq(aarq).mechanism == 0
    answer = lambda request: apdu.GetResponseNormal(request[2], axdr.uint32(9)).encode()  # noqa: E731
    data, [request] = drive(association.get(CLOCK), [answer])
    assert (request[:2], data) == (b"\xc0\x01", axdr.uint32(9))
    with pytest.raises(AccessDenied, match="no selective access"):
        drive(association.get(CLOCK, apdu.entry_selection(1, 2)), [])


@pytest.mark.parametrize("kind", [UTILITY, GMAC])
def test_hls_proves_both_sides_and_never_sends_the_secret(kind: Any) -> None:
    meter, keys = Meter(), credentials()
    association = Client(kind, keys)
    stoc = bytes(range(1, 17))

    def proof(request: bytes) -> bytes:
        plain, counter = opened(request)
        action = apdu.decode(plain)
        assert isinstance(action, apdu.ActionRequestNormal)
        given = axdr.decode(action.parameters or b"")
        assert isinstance(given, bytes)
        if kind is UTILITY:
            security.check_hls2(keys.secret or Secret(b""), stoc, given)
            back = security.hls2(keys.secret or Secret(b""), ctos)
        else:
            assert security.check_gmac(EK, AK, CLIENT, stoc, given, None) == counter - 1
            meter.counter += 1
            back = security.gmac(0x10, EK, AK, METER, meter.counter, ctos)
        return meter.cipher(apdu.ActionResponseNormal(action.invoke_id, 0, axdr.octet_string(back)).encode())

    def aare(aarq: bytes) -> bytes:
        nonlocal ctos
        asked = acse.decode_aarq(aarq)
        ctos = asked.authentication_value or b""
        return meter.aare(mechanism=kind.mechanism, challenge=stoc, diagnostic=14)

    ctos = b""
    _, sent = drive(association.open(), [aare, proof])
    assert association.state is State.OPEN
    assert len(ctos) == 16
    assert not any(b"0123456789ABCDEF" in octets for octets in sent)


@pytest.mark.parametrize("kind", [UTILITY, GMAC])
def test_a_meter_that_proves_nothing_is_refused(kind: Any) -> None:
    meter = Meter()
    wrong = lambda request: meter.cipher(  # noqa: E731
        apdu.ActionResponseNormal(invoke_id(request), 0, axdr.octet_string(bytes(17))).encode()
    )
    association = Client(kind, credentials())
    with pytest.raises(SecurityError, match="HLS pass 4"):
        drive(association.open(), [meter.aare(mechanism=kind.mechanism, challenge=bytes(range(1, 17))), wrong])
    assert association.state is State.IDLE


def test_a_meter_that_sends_our_own_challenge_back_is_refused() -> None:
    meter = Meter()
    mirror = lambda aarq: meter.aare(mechanism=2, challenge=acse.decode_aarq(aarq).authentication_value)  # noqa: E731
    with pytest.raises(SecurityError, match="our own"):
        drive(Client(UTILITY, credentials()).open(), [mirror])


def test_another_meter_at_the_address_is_refused_before_its_answer_is_used() -> None:
    association = Client(READER, credentials(), server_title=bytes.fromhex("4D4D4D0000000001"))
    with pytest.raises(IdentityMismatch, match="4D4D4D0000BC614E answers, 4D4D4D0000000001 is registered"):
        drive(association.open(), [Meter().aare()])


def test_an_initiate_response_in_clear_is_refused_in_a_ciphered_association() -> None:
    clear = apdu.InitiateResponse(conformance=Conformance.GET, max_pdu=1024).encode()
    with pytest.raises(SecurityError, match="not ciphered"):
        drive(Client(READER, credentials()).open(), [Meter().aare(user_information=clear)])


def test_an_unciphered_context_is_refused_where_a_ciphered_one_was_asked() -> None:
    clear = apdu.InitiateResponse(conformance=Conformance.GET, max_pdu=1024).encode()
    aare = acse.encode_aare(result=0, diagnostic=0, user_information=clear)
    with pytest.raises(SecurityError, match="application context"):
        drive(Client(READER, credentials()).open(), [aare])


def test_a_whole_association_played_back_from_yesterday_is_refused() -> None:
    with pytest.raises(SecurityError, match="replay refused"):
        drive(
            Client(READER, credentials(), last_received=lambda title: 8 if title == METER else -1).open(),
            [Meter(counter=7).aare()],
        )


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (lambda meter, plain: plain, "plaintext answer"),
        (lambda meter, plain: _flip(meter.cipher(plain), -20), "tag does not fit"),
        (lambda meter, plain: _flip(meter.cipher(plain), -1), "tag does not fit"),
        (lambda meter, plain: meter.cipher(plain, title=CLIENT), "tag does not fit"),
        (lambda meter, plain: meter.cipher(plain, key=AK), "tag does not fit"),
        (lambda meter, plain: meter.cipher(plain, control=0x10), "security control 0x10"),
        (lambda meter, plain: meter.cipher(plain, control=0x20), "security control 0x20"),
        (lambda meter, plain: Meter(counter=6).cipher(plain), "replay refused"),
        (lambda meter, plain: b"\xcf" + meter.cipher(plain)[1:], "not the one that its tag names"),
        (lambda meter, plain: b"", "plaintext answer"),
    ],
)
def test_the_receive_policy_has_no_exception(forge: Callable[[Meter, bytes], bytes], reason: str) -> None:
    meter = Meter()
    association = associated(meter)
    forged = lambda request: forge(meter, apdu.GetResponseNormal(invoke_id(request), axdr.uint8(1)).encode())  # noqa: E731
    with pytest.raises(SecurityError, match=reason) as caught:
        drive(association.get(CLOCK), [forged])
    assert str(CLOCK) in str(caught.value)
    assert association.state is State.IDLE


def _flip(octets: bytes, at: int) -> bytes:
    changed = bytearray(octets)
    changed[at] ^= 1
    return bytes(changed)


def test_the_same_answer_twice_is_a_replay() -> None:
    meter = Meter()
    association = associated(meter)
    heard: list[bytes] = []

    def answer(request: bytes) -> bytes:
        heard.append(meter.value(axdr.uint8(1))(request))
        return heard[0]

    assert drive(association.get(CLOCK), [answer])[0] == axdr.uint8(1)
    with pytest.raises(SecurityError, match="replay refused"):
        drive(association.get(CLOCK), [answer])


def test_an_exception_response_in_clear_is_an_error_and_never_data() -> None:
    meter = Meter()
    association = associated(meter)
    with pytest.raises(AccessDenied, match="exception"):
        drive(association.get(CLOCK), [apdu.ExceptionResponse(1, 2).encode()])
    with pytest.raises(SecurityError, match="expects 4711"):
        drive(association.get(CLOCK), [apdu.ExceptionResponse(1, 6, 4711).encode()])


def test_late_answers_and_pushes_are_passed_over_but_not_for_ever() -> None:
    meter = Meter()
    association = associated(meter)
    late = lambda request: meter.cipher(  # noqa: E731
        apdu.GetResponseNormal(invoke_id(request) ^ 0x03, axdr.uint8(1)).encode()
    )
    push = bytes.fromhex("0f00000001000203")
    assert drive(association.get(CLOCK), [late, push, meter.value(axdr.uint8(2))])[0] == axdr.uint8(2)
    assert association.passed_over == 2
    with pytest.raises(ProtocolError, match="answer nothing we asked"):
        drive(association.get(CLOCK), [push] * (MAX_PASSED_OVER + 1))


def test_a_long_value_comes_in_blocks_and_each_number_is_checked() -> None:
    meter = Meter()
    association = associated(meter)
    blocks = [meter.block(1, b"abc", False), meter.block(2, b"de", False), meter.block(3, b"f", True)]
    data, sent = drive(association.get(CLOCK), blocks)
    assert data == b"abcdef"
    asked = [apdu.decode(opened(request)[0]) for request in sent[1:]]
    assert [request.block for request in asked if isinstance(request, apdu.GetRequestNext)] == [1, 2]
    with pytest.raises(ProtocolError, match="block 3 came where block 2 was due"):
        drive(association.get(CLOCK), [meter.block(1, b"abc", False), meter.block(3, b"f", True)])


def test_an_endless_run_of_empty_blocks_is_refused() -> None:
    meter = Meter()
    with pytest.raises(ProtocolError, match="empty"):
        drive(associated(meter).get(CLOCK), [meter.block(1, b"", False)])


def test_a_transfer_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.dlms.client.MAX_TRANSFER", 4)
    meter = Meter()
    with pytest.raises(ProtocolError, match="more than 4 octets"):
        drive(associated(meter).get(CLOCK), [meter.block(1, b"abc", False), meter.block(2, b"abc", False)])


def test_a_refused_attribute_names_the_reason_and_leaves_the_association_open() -> None:
    meter = Meter()
    association = associated(meter)
    refused = lambda request: meter.cipher(  # noqa: E731
        apdu.GetResponseNormal(invoke_id(request), error=3).encode()
    )
    with pytest.raises(AccessDenied, match="denied"):
        drive(association.get(CLOCK), [refused])
    assert drive(association.get(CLOCK), [meter.value(axdr.null())])[0] == axdr.null()


def test_a_refused_association_says_why_and_what_to_check() -> None:
    rejected = acse.encode_aare(result=1, diagnostic=13)
    with pytest.raises(AccessDenied, match="password or HLS secret is not the meter's"):
        drive(Client(READER, credentials()).open(), [rejected])
    busy = acse.encode_aare(result=2, diagnostic=1)
    with pytest.raises(MeterBusy):
        drive(Client(READER, credentials()).open(), [busy])


def test_link_loss_in_any_service_leaves_the_association_idle() -> None:
    meter = Meter()
    lost = LinkTimeout("no answer within 1 s")
    association = Client(READER, credentials())
    with pytest.raises(LinkTimeout, match="associate"):
        drive(association.open(), [lost])
    assert association.state is State.IDLE
    association = associated(meter)
    with pytest.raises(LinkTimeout):
        drive(association.get(CLOCK), [meter.block(1, b"abc", False), lost])
    assert association.state is State.IDLE
    association = associated(meter)
    with pytest.raises(LinkTimeout):
        drive(association.release(), [lost])
    assert association.state is State.IDLE


def test_nothing_is_sent_from_a_state_that_does_not_allow_it() -> None:
    events = {event for _, event in TRANSITIONS}
    assert {state for state, _ in TRANSITIONS} == set(State)
    for state in State:
        for event in events - {event for known, event in TRANSITIONS if known is state}:
            association = Client(PUBLIC, Credentials())
            association.state = state
            with pytest.raises(ProtocolError, match="while the association is"):
                association._move(event)
        association = Client(PUBLIC, Credentials())
        association.state = state
        association.reset()
        assert association.state is State.IDLE


def test_an_exhausted_counter_run_sends_nothing() -> None:
    meter = Meter()
    association = Client(READER, credentials(counters=CounterRange(100, 101)))
    drive(association.open(), [meter.aare()])
    with pytest.raises(SecurityError, match="used up"):
        drive(association.get(CLOCK), [])


def test_missing_keys_are_said_before_anything_is_sent() -> None:
    with pytest.raises(SecurityError, match="encryption and an authentication key"):
        Client(READER, credentials(authentication_key=None))
    with pytest.raises(SecurityError, match="password"):
        Client(READER, credentials(secret=None))
    with pytest.raises(SecurityError, match="system title"):
        Client(READER, credentials(client_title=b"short"))


def test_no_secret_shows_in_a_repr() -> None:
    shown = repr(credentials()) + repr(Send(b"0123456789ABCDEF"))
    assert "0123456789ABCDEF" not in shown
    assert "000102030405" not in shown.lower()


def test_a_meter_that_has_our_own_system_title_is_refused() -> None:
    """Under one key its counters would be our nonces, and our own HLS proof would come back as the meter's."""
    meter = Meter()
    response = apdu.InitiateResponse(conformance=int(Conformance(0xFFFFFF)), max_pdu=1024).encode()
    mirrored = meter.aare(system_title=CLIENT, user_information=meter.cipher(response, title=CLIENT))
    with pytest.raises(SecurityError, match="is our own"):
        drive(Client(READER, credentials()).open(), [mirrored])
    with pytest.raises(SecurityError, match="is our own"):
        Client(READER, credentials(), server_title=CLIENT)
