"""Every service of the client, in every protection, against a meter made of answers; no socket is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from drivers.credentials import CounterRange, Credentials
from drivers.dlms import acse, apdu, axdr, security
from drivers.dlms.apdu import (
    AccessGet,
    AccessResponse,
    AccessResult,
    AccessSet,
    ActionResult,
    Conformance,
    DataResult,
    SelectedAttribute,
)
from drivers.dlms.association import State
from drivers.dlms.block_transfer import BlockTransfer
from drivers.dlms.ciphering import hls_keys_of, initiate_protection_of, overhead_of, protection_of
from drivers.dlms.client import Client
from drivers.dlms.security import SUITES, Challenge, Key, PrivateKey, Secret
from drivers.service import Send, Service
from profiles.errors import AccessDenied, HeadEndError, LinkTimeout, ProtocolError, SecurityError
from profiles.loader import load_meter_type
from profiles.meter_type import Association as AssociationType
from profiles.objects import AttributeRef, MethodRef, Obis

CLIENT, METER = bytes.fromhex("4845530102030405"), bytes.fromhex("4D4D4D0000BC614E")
TYPE = load_meter_type("is15959-1ph")
READER, PUBLIC = TYPE.associations["meter_reader"], TYPE.associations["public"]
CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
SERIAL = AttributeRef(1, Obis(0, 0, 96, 1, 0), 2)
RELAY = MethodRef(70, Obis(0, 0, 96, 3, 10), 1)
EVERYTHING = Conformance(0xFFFFFF)

_KEYS = {size: (Key(bytes(range(size))), Key(bytes(range(100, 100 + size)))) for size in (16, 32)}
_PAIRS = {suite: [PrivateKey.generate(SUITES[suite]) for _ in range(4)] for suite in (1, 2)}


def both_sides(kind: AssociationType) -> tuple[Credentials, Credentials]:
    """Credentials of client and meter that fit each other."""
    encryption, authentication = _KEYS[32 if kind.suite == 2 else 16]
    common = {
        "encryption_key": encryption,
        "authentication_key": authentication,
        "secret": Secret(b"0123456789ABCDEF"),
        "master_key": Key(bytes(range(50, 50 + len(encryption.octets)))),
    }
    pairs: dict[str, Any] = {}
    other: dict[str, Any] = {}
    if kind.suite:
        ours, ours_too, theirs, theirs_too = _PAIRS[kind.suite]
        pairs = {
            "signing_key": ours,
            "agreement_key": ours_too,
            "peer_signing_key": theirs.public,
            "peer_agreement_key": theirs_too.public,
        }
        other = {
            "signing_key": theirs,
            "agreement_key": theirs_too,
            "peer_signing_key": ours.public,
            "peer_agreement_key": ours_too.public,
        }
    client = Credentials(client_title=CLIENT, counters=CounterRange(100, 1000), **common, **pairs)
    meter = Credentials(client_title=METER, counters=CounterRange(7, 1000), **common, **other)
    return client, meter


@dataclass
class Meter:
    """Takes requests off their protection, lets `serve` answer them, and protects the answers."""

    kind: AssociationType
    credentials: Credentials
    serve: Callable[[apdu.Apdu], apdu.Apdu]
    conformance: Conformance = EVERYTHING
    max_pdu: int = 1024
    asked: list[apdu.Apdu] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    dedicated: Key | None = None
    challenge: bytes = bytes(range(1, 33))
    client_challenge: bytes = b""

    def answer(self, received: bytes) -> bytes:
        take = self.credentials.counters.take
        initiate = initiate_protection_of(self.kind, self.credentials, CLIENT, take)
        if received[0] == acse.AARQ:
            aarq = acse.decode_aarq(received)
            self.client_challenge = aarq.authentication_value or b""
            opened = None if initiate is None else initiate.unprotect(aarq.user_information)
            proposed = apdu.decode(aarq.user_information if opened is None else opened.plain)
            assert isinstance(proposed, apdu.InitiateRequest)
            self.dedicated = None if proposed.dedicated_key is None else Key(proposed.dedicated_key)
            agreed = apdu.InitiateResponse(self.conformance & proposed.conformance, self.max_pdu).encode()
            if initiate is not None and opened is not None:
                agreed = initiate.protect(agreed, opened.transaction_id)
            return acse.encode_aare(
                result=0,
                diagnostic=14 if self.kind.mechanism > 1 else 0,
                ciphered=self.kind.protected,
                system_title=METER,
                mechanism=self.kind.mechanism,
                challenge=self.challenge if self.kind.mechanism > 1 else None,
                user_information=agreed,
            )
        if received[0] == acse.RLRQ:
            return acse.encode_rlre()
        self.sizes.append(len(received))
        protection = protection_of(self.kind, self.credentials, CLIENT, take, self.dedicated)
        opened = None if protection is None else protection.unprotect(received)
        request = apdu.decode(received if opened is None else opened.plain)
        self.asked.append(request)
        if isinstance(request, apdu.ActionRequestNormal) and request.method[0] == 15:
            answer: apdu.Apdu = self.prove(request)
        else:
            answer = self.serve(request)
        plain = answer.encode()
        return plain if protection is None or opened is None else protection.protect(plain, opened.transaction_id)

    def prove(self, request: apdu.ActionRequestNormal) -> apdu.Apdu:
        mechanism, keys = self.kind.mechanism, hls_keys_of(self.kind, self.credentials)
        given = axdr.decode(request.parameters or b"")
        assert isinstance(given, bytes)
        ours, theirs = self.challenge, self.client_challenge
        try:
            security.check_answer(mechanism, keys, Challenge(ours, theirs, CLIENT, METER), given)
        except SecurityError:
            return apdu.ActionResponseNormal(request.invoke_id, 3)
        take = self.credentials.counters.take
        proof = security.answer_challenge(mechanism, keys, Challenge(theirs, ours, METER, CLIENT), take)
        return apdu.ActionResponseNormal(request.invoke_id, 0, axdr.octet_string(proof))


def run(service: Service[Any], meter: Callable[[bytes], bytes | list[bytes]]) -> Any:
    """Drive a service; what is sent gets answers, and nothing comes where there are none."""
    waiting: list[bytes] = []
    try:
        step = next(service)
        while True:
            if isinstance(step, Send):
                answer = meter(step.apdu)
                waiting += [answer] if isinstance(answer, bytes) else answer
                step = service.send(None)
            elif waiting:
                step = service.send(waiting.pop(0))
            else:
                step = service.throw(LinkTimeout("nothing came"))
    except StopIteration as done:
        return done.value


def opened(
    serve: Callable[[apdu.Apdu], apdu.Apdu], kind: AssociationType = READER, **options: Any
) -> tuple[Client, Meter]:
    ours, theirs = both_sides(kind)
    client, meter = Client(kind, ours), Meter(kind, theirs, serve, **options)
    run(client.open(), meter.answer)
    return client, meter


def value(data: bytes) -> Callable[[apdu.Apdu], apdu.Apdu]:
    return lambda request: apdu.GetResponseNormal(request.invoke_id, data)  # type: ignore[union-attr]


PROTECTIONS = [
    *(
        replace(READER, security_control=policy | suite, ciphering=ciphering)
        for ciphering in ("glo", "ded", "general-glo", "general-ded", "general-ciphering")
        for policy in (0x10, 0x20, 0x30)
        for suite in (0, 1, 2)
    ),
    *(
        replace(READER, security_control=0x30 | suite, ciphering="general-ciphering", key_origin=origin)
        for origin in ("wrapped", "one-pass", "static-unified")
        for suite in (1, 2)
    ),
    replace(READER, security_control=0x30, ciphering="general-ciphering", key_origin="wrapped"),
    replace(READER, security_control=0x01, signed=True),
    replace(READER, security_control=0x32, signed=True, ciphering="general-glo"),
]


def _name(kind: AssociationType) -> str:
    return f"{kind.ciphering}-{kind.security_control:02x}-{kind.key_origin}{'-signed' * kind.signed}"


@pytest.mark.parametrize("kind", PROTECTIONS, ids=_name)
def test_every_protection_opens_reads_and_releases(kind: AssociationType) -> None:
    client, meter = opened(value(axdr.uint32(77)), kind)
    assert run(client.get(CLOCK), meter.answer) == axdr.uint32(77)
    assert client.server_title == METER
    assert (meter.dedicated is not None) == ("ded" in kind.ciphering)
    run(client.release(), meter.answer)
    assert client.state is State.IDLE


@pytest.mark.parametrize("kind", PROTECTIONS, ids=_name)
def test_what_protection_puts_around_a_request_is_within_the_stated_overhead(kind: AssociationType) -> None:
    client, meter = opened(value(axdr.uint32(77)), kind)
    run(client.get(CLOCK), meter.answer)
    plain = len(meter.asked[-1].encode())
    assert 0 <= plain + overhead_of(kind) - meter.sizes[-1] <= 6


@pytest.mark.parametrize("kind", PROTECTIONS, ids=_name)
def test_every_protection_refuses_its_own_answer_played_again(kind: AssociationType) -> None:
    """Where nothing authenticates the APDU its counter still has to rise."""
    client, meter = opened(value(axdr.uint32(77)), kind)
    first: list[bytes] = []

    def again(received: bytes) -> bytes:
        first.append(meter.answer(received))
        return first[0]

    run(client.get(CLOCK), again)
    with pytest.raises(SecurityError):
        run(client.get(CLOCK), again)


@pytest.mark.parametrize(
    "kind", [kind for kind in PROTECTIONS if kind.security_control & 0x10 or kind.signed], ids=_name
)
@pytest.mark.parametrize("place", [-1, -14, 8])
def test_every_protection_with_a_tag_refuses_an_altered_octet(kind: AssociationType, place: int) -> None:
    client, meter = opened(value(axdr.octet_string(bytes(40))), kind)

    def altered(received: bytes) -> bytes:
        octets = bytearray(meter.answer(received))
        octets[place] ^= 1
        return bytes(octets)

    with pytest.raises((SecurityError, ProtocolError)):
        run(client.get(CLOCK), altered)


@pytest.mark.parametrize("kind", PROTECTIONS, ids=_name)
def test_every_protection_refuses_an_answer_in_clear(kind: AssociationType) -> None:
    client, _ = opened(value(axdr.uint8(1)), kind)
    plain = apdu.GetResponseNormal(0xC1, axdr.uint8(1)).encode()
    with pytest.raises(SecurityError, match="plaintext answer"):
        run(client.get(CLOCK), lambda received: plain)


@pytest.mark.parametrize("mechanism", range(8))
@pytest.mark.parametrize("control", [0x00, 0x30])
def test_every_mechanism_authenticates_both_sides(mechanism: int, control: int) -> None:
    kind = replace(READER, mechanism=mechanism, security_control=control | (1 if mechanism == 7 else 0))
    client, meter = opened(value(axdr.uint8(1)), kind)
    assert client.state is State.OPEN
    assert run(client.get(CLOCK), meter.answer) == axdr.uint8(1)


@pytest.mark.parametrize("mechanism", [2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("control", [0x00, 0x30])
def test_no_mechanism_takes_a_meter_that_proves_nothing(mechanism: int, control: int) -> None:
    kind = replace(READER, mechanism=mechanism, security_control=control | (1 if mechanism == 7 else 0))
    ours, theirs = both_sides(kind)
    client, meter = Client(kind, ours), Meter(kind, theirs, value(axdr.uint8(1)))
    meter.prove = lambda request: apdu.ActionResponseNormal(request.invoke_id, 0, axdr.octet_string(bytes(16)))  # type: ignore[method-assign]
    with pytest.raises(SecurityError, match="HLS pass 4"):
        run(client.open(), meter.answer)
    assert client.state is State.IDLE


@pytest.mark.parametrize("mechanism", [2, 3, 4, 5, 6, 7])
def test_a_wrong_secret_is_told_as_such(mechanism: int) -> None:
    kind = replace(READER, mechanism=mechanism, security_control=1 if mechanism == 7 else 0)
    ours, theirs = both_sides(kind)
    wrong = {
        "secret": Secret(b"another secret.."),
        "signing_key": PrivateKey.generate(SUITES[1]),
        "authentication_key": Key(bytes(16)),
    }
    with pytest.raises(AccessDenied, match="did not accept our proof") as caught:
        run(Client(kind, replace(ours, **wrong)).open(), Meter(kind, theirs, value(axdr.uint8(1))).answer)
    assert "HLS secret or a key" in (caught.value.remedy or "")


def test_a_pre_established_association_sends_neither_aarq_nor_release() -> None:
    kind = replace(READER, pre_established=True, mechanism=0)
    ours, theirs = both_sides(kind)
    client, meter = Client(kind, ours, server_title=METER), Meter(kind, theirs, value(axdr.uint8(3)))
    run(client.open(), meter.answer)
    assert run(client.get(CLOCK), meter.answer) == axdr.uint8(3)
    run(client.release(), meter.answer)
    assert [type(asked) for asked in meter.asked] == [apdu.GetRequestNormal]
    with pytest.raises(SecurityError, match="needs the meter's system title"):
        Client(kind, ours)


def test_a_list_is_read_with_a_result_for_each() -> None:
    found = (DataResult(axdr.uint8(1)), DataResult(error=3))
    client, meter = opened(lambda request: apdu.GetResponseWithList(request.invoke_id, found))  # type: ignore[union-attr]
    wanted = [SelectedAttribute(CLOCK), SelectedAttribute(SERIAL)]
    assert run(client.get_list(wanted), meter.answer) == found
    with pytest.raises(ProtocolError, match="2 results came for 1"):
        run(client.get_list(wanted[:1]), meter.answer)


def test_a_list_that_comes_in_blocks_is_joined() -> None:
    found = (DataResult(axdr.octet_string(bytes(50))), DataResult(error=4))
    joined = apdu.encode_results(found)

    def serve(request: Any) -> apdu.Apdu:
        number = request.block + 1 if isinstance(request, apdu.GetRequestNext) else 1
        piece = joined[(number - 1) * 20 : number * 20]
        return apdu.GetResponseBlock(request.invoke_id, number * 20 >= len(joined), number, piece)

    client, meter = opened(serve)
    assert run(client.get_list([SelectedAttribute(CLOCK), SelectedAttribute(SERIAL)]), meter.answer) == found
    assert len(meter.asked) == 3


def write(request: Any) -> apdu.Apdu:
    """SET and ACTION in blocks, as a meter answers them."""
    number = request.invoke_id
    match request:
        case apdu.SetRequestNormal():
            return apdu.SetResponseNormal(number, 0)
        case apdu.SetRequestWithList():
            return apdu.SetResponseWithList(number, tuple(0 for _ in request.attributes))
        case apdu.SetRequestFirstBlock() | apdu.SetRequestBlock() if request.last:
            return apdu.SetResponseLastBlock(number, 0, request.block)
        case apdu.SetRequestFirstBlock() | apdu.SetRequestBlock() | apdu.SetRequestWithListFirstBlock():
            return apdu.SetResponseBlock(number, request.block)
        case apdu.ActionRequestNormal():
            return apdu.ActionResponseNormal(number, 0, request.parameters)
        case apdu.ActionRequestFirstBlock() | apdu.ActionRequestBlock() if request.last:
            return apdu.ActionResponseNormal(number, 0)
        case apdu.ActionRequestFirstBlock() | apdu.ActionRequestBlock() | apdu.ActionRequestWithListFirstBlock():
            return apdu.ActionResponseNextBlock(number, request.block)
    raise AssertionError(request)


def sent_data(asked: list[Any]) -> bytes:
    return b"".join(each.data for each in asked)


@pytest.mark.parametrize("kind", [PUBLIC, READER, *PROTECTIONS[-3:]], ids=_name)
@pytest.mark.parametrize("size", [1, 200, 5000])
def test_a_set_goes_in_as_many_blocks_as_the_meter_needs(kind: AssociationType, size: int) -> None:
    client, meter = opened(write, kind, max_pdu=600)
    data = axdr.octet_string(bytes(size))
    run(client.set(SERIAL, data), meter.answer)
    assert sent_data(meter.asked) == data
    assert max(meter.sizes) <= 600
    if size == 5000:
        assert max(meter.sizes) > 590, "blocks are filled"
        assert [each.block for each in meter.asked] == list(range(1, len(meter.asked) + 1))  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [1, 200, 5000])
def test_parameters_of_an_action_go_in_as_many_blocks_as_the_meter_needs(size: int) -> None:
    client, meter = opened(write, max_pdu=128)
    data = axdr.octet_string(bytes(size))
    returned = run(client.action(RELAY, data), meter.answer)
    assert returned == (data if size == 1 else None)
    sent = [each.parameters if isinstance(each, apdu.ActionRequestNormal) else each.data for each in meter.asked]  # type: ignore[union-attr]
    assert b"".join(each or b"" for each in sent) == data
    assert max(meter.sizes) <= 128


def test_lists_are_written_and_invoked_in_blocks_too() -> None:
    values = [axdr.octet_string(bytes(100)), axdr.octet_string(bytes(101))]
    results_: list[apdu.Apdu] = []

    def serve(request: Any) -> apdu.Apdu:
        if getattr(request, "last", False):
            set_ = isinstance(request, apdu.SetRequestBlock)
            results_.append(request)
            if set_:
                return apdu.SetResponseLastBlockWithList(request.invoke_id, (0, 3), request.block)
            return apdu.ActionResponseWithList(request.invoke_id, (ActionResult(0), ActionResult(3)))
        return write(request)

    client, meter = opened(serve, max_pdu=128)
    wanted = [SelectedAttribute(CLOCK), SelectedAttribute(SERIAL)]
    assert run(client.set_list(wanted, values), meter.answer) == (0, 3)
    assert apdu.decode_values(sent_data(meter.asked)) == tuple(values)
    meter.asked.clear()
    assert run(client.action_list([RELAY, RELAY], values), meter.answer) == (ActionResult(0), ActionResult(3))
    assert apdu.decode_values(sent_data(meter.asked)) == tuple(values)
    assert len(results_) == 2


def test_what_a_method_returns_in_blocks_is_joined() -> None:
    whole = axdr.octet_string(bytes(range(90)))

    def serve(request: Any) -> apdu.Apdu:
        number = request.block + 1 if isinstance(request, apdu.ActionRequestNextBlock) else 1
        piece = whole[(number - 1) * 30 : number * 30]
        return apdu.ActionResponseBlock(request.invoke_id, number * 30 >= len(whole), number, piece)

    client, meter = opened(serve)
    assert run(client.action(RELAY, axdr.int8(0)), meter.answer) == whole


@pytest.mark.parametrize("number", [0, 2, 7])
def test_a_wrong_block_number_ends_the_transfer_and_the_next_request_works(number: int) -> None:
    wrong = True

    def serve(request: Any) -> apdu.Apdu:
        if not wrong:
            return write(request)
        if isinstance(request, apdu.SetRequestFirstBlock):
            return apdu.SetResponseBlock(request.invoke_id, number)
        return apdu.ActionResponseBlock(request.invoke_id, False, number, b"x")

    client, meter = opened(serve, max_pdu=128)
    with pytest.raises(ProtocolError, match=f"acknowledged block {number}, 1 was sent"):
        run(client.set(SERIAL, axdr.octet_string(bytes(500))), meter.answer)
    with pytest.raises(ProtocolError, match=f"block {number} came where block 1 was due"):
        run(client.action(RELAY), meter.answer)
    wrong = False
    run(client.set(SERIAL, axdr.uint8(1)), meter.answer)


def test_a_refused_block_is_told_with_its_words() -> None:
    client, meter = opened(lambda request: apdu.SetResponseNormal(request.invoke_id, 3), max_pdu=128)  # type: ignore[union-attr]
    with pytest.raises(AccessDenied, match="read-write denied") as caught:
        run(client.set(SERIAL, axdr.octet_string(bytes(500))), meter.answer)
    assert caught.value.retry is False


def test_access_reads_and_writes_at_once() -> None:
    def serve(request: Any) -> apdu.Apdu:
        assert isinstance(request, apdu.AccessRequest)
        results_ = (AccessResult(1, 0), AccessResult(2, 3))
        return AccessResponse(request.invoke_id, (axdr.uint8(9), axdr.null()), results_)

    client, meter = opened(serve, replace(READER, ciphering="general-glo"))
    answer = run(client.access([AccessGet(CLOCK), AccessSet(SERIAL)], [axdr.null(), axdr.uint8(1)]), meter.answer)
    assert answer.data == (axdr.uint8(9), axdr.null())
    assert answer.results[1].result == 3


@pytest.mark.parametrize(
    ("agreed", "service", "lacking"),
    [
        (Conformance.GET, lambda client: client.set(SERIAL, axdr.uint8(1)), "set"),
        (Conformance.GET, lambda client: client.action(RELAY), "action"),
        (Conformance.GET, lambda client: client.get_list([SelectedAttribute(CLOCK)]), "multiple references"),
        (Conformance.GET, lambda client: client.access([AccessGet(CLOCK)], [axdr.null()]), "access"),
        (Conformance.GET, lambda client: client.get(CLOCK, apdu.entry_selection(1, 2)), "selective access"),
    ],
)
def test_what_the_meter_did_not_agree_to_is_not_asked(
    agreed: Conformance, service: Callable[[Client], Service[Any]], lacking: str
) -> None:
    client, meter = opened(write, conformance=agreed)
    with pytest.raises(AccessDenied, match=lacking):
        run(service(client), meter.answer)
    assert meter.asked == []


def test_a_long_request_without_any_block_transfer_is_refused_before_it_is_sent() -> None:
    client, meter = opened(write, conformance=Conformance.SET | Conformance.GET, max_pdu=128)
    with pytest.raises(ProtocolError, match="more than the 107 that the meter takes"):
        run(client.set(SERIAL, axdr.octet_string(bytes(500))), meter.answer)
    assert meter.asked == []
    run(client.set(SERIAL, axdr.uint8(1)), meter.answer)


@pytest.mark.parametrize("kind", [PUBLIC, READER, replace(READER, ciphering="general-glo")], ids=_name)
def test_a_push_in_the_middle_of_a_request_is_handed_over_and_the_answer_still_found(kind: AssociationType) -> None:
    pushed: list[bytes] = []
    ours, theirs = both_sides(kind)
    client, meter = Client(kind, ours, unasked=pushed.append), Meter(kind, theirs, value(axdr.uint8(5)))
    run(client.open(), meter.answer)
    push = apdu.DataNotification(1, axdr.uint8(1)).encode()
    if kind.ciphering == "general-glo":
        protection = protection_of(kind, theirs, CLIENT, theirs.counters.take)
        assert protection is not None
        push = protection.protect(push)
    service = client.get(CLOCK)
    step = next(service)
    assert isinstance(step, Send)
    service.send(None)
    service.send(push)
    with pytest.raises(StopIteration) as done:
        service.send(meter.answer(step.apdu))
    assert done.value.value == axdr.uint8(5)
    assert pushed == [push]


@dataclass
class InBlocks:
    """A meter that takes and gives what is long by general block transfer, over a line that loses some of it."""

    meter: Meter
    lost: set[int] = field(default_factory=set)
    """Which of all APDUs, both ways, do not arrive."""
    passed: int = 0
    transfer: BlockTransfer = field(default_factory=lambda: BlockTransfer(128, answers=True))

    def answer(self, received: bytes) -> list[bytes]:
        if self._loses():
            return []
        if received[0] != 0xE0:
            return [block for block in self._answered(received) if not self._loses()]
        blocks = self.transfer.handle(received)
        whole = self.transfer.take()
        if whole is not None:
            blocks += self.transfer.start(self.meter.answer(whole))
        return [block for block in blocks if not self._loses()]

    def _answered(self, received: bytes) -> list[bytes]:
        whole = self.meter.answer(received)
        return [whole] if len(whole) <= 128 or whole[0] == acse.AARE else self.transfer.start(whole)

    def _loses(self) -> bool:
        self.passed += 1
        return self.passed in self.lost


@pytest.mark.parametrize("kind", [PUBLIC, replace(READER, ciphering="general-glo"), *PROTECTIONS[-4:]], ids=_name)
@pytest.mark.parametrize("lost", [set(), {3}, {5}, {8}, {4, 6, 9}], ids=str)
def test_long_requests_and_answers_go_by_general_block_transfer(kind: AssociationType, lost: set[int]) -> None:
    """ACCESS has no blocks of its own. What the line loses is asked for again, under the same invocation counter."""
    long = axdr.octet_string(bytes(range(256)) * 4)
    ours, theirs = both_sides(kind)
    client = Client(kind, ours)

    def serve(request: Any) -> apdu.Apdu:
        assert isinstance(request, apdu.AccessRequest)
        return AccessResponse(request.invoke_id, request.data, tuple(AccessResult(2, 0) for _ in request.data))

    meter = InBlocks(Meter(kind, theirs, serve, max_pdu=128), {number + 2 for number in lost})
    run(client.open(), meter.answer)
    meter.passed = 2
    answer = run(client.access([AccessSet(CLOCK), AccessSet(SERIAL)], [long, axdr.uint8(1)]), meter.answer)
    assert answer.data == (long, axdr.uint8(1))
    assert len(meter.meter.asked) == 1
    assert meter.passed > max(meter.lost, default=10)


def test_a_refused_release_is_told_and_ends_the_association_all_the_same() -> None:
    client, _ = opened(write)
    with pytest.raises(AccessDenied, match="refused the release"):
        run(client.release(), lambda received: acse.encode_rlre(reason=1))
    assert client.state is State.IDLE


@pytest.mark.parametrize(
    "missing", ["signing_key", "agreement_key", "peer_signing_key", "peer_agreement_key", "encryption_key"]
)
def test_a_missing_key_is_named(missing: str) -> None:
    kind = replace(READER, security_control=0x31, ciphering="general-ciphering", key_origin="one-pass")
    ours, theirs = both_sides(kind)
    meter = Meter(kind, theirs, write)
    with pytest.raises(SecurityError, match="needs") as caught:
        run(Client(kind, replace(ours, **{missing: None})).open(), meter.answer)
    assert "key" in str(caught.value)


def test_services_in_an_association_that_is_not_open_send_nothing() -> None:
    client = Client(READER, both_sides(READER)[0])
    for service in (client.get(CLOCK), client.set(SERIAL, axdr.uint8(1)), client.action(RELAY), client.release()):
        with pytest.raises(HeadEndError, match="while the association is idle"):
            next(service)
