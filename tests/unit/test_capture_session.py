"""Whole conversations: what they teach, what is opened by it, what comes in blocks, what stays secret."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from packets import conversation, ethernet, pcap

from drivers.capture import Explained, Grade, Keys, Message, explain
from drivers.capture.explanation import apdu_nodes
from drivers.dlms import acse, apdu, axdr
from drivers.dlms.apdu import ActionResult, Apdu, DataResult, GeneralHeader, GeneralSigning, SelectedAttribute
from drivers.dlms.security import (
    EndToEndProtection,
    GeneralProtection,
    Key,
    KeyByWrapping,
    KeyId,
    Parties,
    Protection,
    Secret,
    ServiceProtection,
    SharedKey,
    encode_key_transfer,
)
from drivers.dlms.wrapper import wrap
from drivers.hdlc.addresses import HdlcAddress
from drivers.hdlc.frames import FLAG, Frame, Kind
from drivers.links.secrets import secret_places
from profiles.objects import AttributeRef, CaptureObject, MethodRef, Obis

EK, AK = Key(bytes(range(16))), Key(bytes(range(0xD0, 0xE0)))
DEDICATED = Key(bytes.fromhex("00112233445566778899aabbccddeeff"))
CLIENT_TITLE, METER_TITLE = b"HES\x00\x00\x00\x00\x01", b"MMM\x00\x00\xbc\x61\x4e"
PASSWORD = b"pass-word"
CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
ENERGY = AttributeRef(3, Obis(1, 0, 1, 8, 0), 2)
LOAD = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)
STAMP = bytes.fromhex("07ea011f060f0f00ff800000")
NUMBER = axdr.uint32(12_345)
Said = list[tuple[bool, bytes]]


def counters() -> Any:
    return itertools.count(1).__next__


def ciphering(form: type[ServiceProtection] | type[GeneralProtection], dedicated: bool, control: int = 0x30) -> Any:
    """How the client protects, and how the meter does."""
    key = DEDICATED if dedicated else EK
    return tuple(
        form(Parties(own, peer, counters()), control, key, AK, dedicated)
        for own, peer in ((CLIENT_TITLE, METER_TITLE), (METER_TITLE, CLIENT_TITLE))
    )


def opening(*, ciphered: bool, dedicated: bool, mechanism: int = 1) -> Said:
    """AARQ and AARE, with the initiate APDUs protected or not."""
    request = apdu.InitiateRequest(0x10, 1024, DEDICATED.octets if dedicated else None).encode()
    response = apdu.InitiateResponse(0x10, 1024).encode()
    if ciphered:
        ours, theirs = ciphering(ServiceProtection, False)
        request, response = ours.protect(request), theirs.protect(response)
    aarq = acse.encode_aarq(
        ciphered=ciphered,
        mechanism=mechanism,
        client_title=CLIENT_TITLE if ciphered else None,
        authentication_value=Secret(PASSWORD) if mechanism == 1 else b"challenge",
        user_information=request,
    )
    title = METER_TITLE if ciphered else None
    aare = acse.encode_aare(result=0, diagnostic=0, ciphered=ciphered, system_title=title, user_information=response)
    return [(True, aarq), (False, aare)]


def exchange(ours: Protection, theirs: Protection) -> Said:
    get, answer = apdu.GetRequestNormal(0xC1, ENERGY), apdu.GetResponseNormal(0xC1, NUMBER)
    return [(True, ours.protect(get.encode())), (False, theirs.protect(answer.encode()))]


def as_wrapper(said: Said) -> bytes:
    return b"".join(wrap(*((16, 1) if by_client else (1, 16)), octets) for by_client, octets in said)


def as_hdlc(said: Said) -> bytes:
    client, meter = HdlcAddress(16), HdlcAddress(1, 17, 4)
    frames = []
    for number, (by_client, octets) in enumerate(said):
        to, of, lsdu = (meter, client, b"\xe6\xe6\x00") if by_client else (client, meter, b"\xe6\xe7\x00")
        pieces = [(lsdu + octets)[at : at + 50] for at in range(0, len(octets) + 3, 50)]
        frames += [
            Frame(
                to, of, Kind.I, send=(number + part) % 8, information=piece, segmented=part < len(pieces) - 1
            ).encode()
            for part, piece in enumerate(pieces)
        ]
    return b"".join(frame[:-1] for frame in frames) + bytes([FLAG])


def as_pcap(said: Said) -> bytes:
    whole = [(by_client, wrap(*((16, 1) if by_client else (1, 16)), octets)) for by_client, octets in said]
    return pcap(map(ethernet, conversation(whole, size=30)))


def as_lines(said: Said) -> bytes:
    return "\n".join(octets.hex(":") for _, octets in said).encode()


def as_transcript(said: Said) -> bytes:
    """As `--trace` writes it, secrets left out."""
    lines = ["# tcp://127.0.0.1:4059 client 16 server 1"]
    for number, (by_client, octets) in enumerate(said):
        shown = [f"{octet:02x}" for octet in wrap(*((16, 1) if by_client else (1, 16)), octets)]
        for begin, end in secret_places(octets) if by_client else ():
            shown[8 + begin : 8 + end] = ["**"] * (end - begin)
        lines.append(f"2026-01-31T06:15:{number:02}.000000Z {'>' if by_client else '<'} {' '.join(shown)}")
    return "\n".join(lines).encode()


FORMS = {
    "wrapper": as_wrapper,
    "HDLC": as_hdlc,
    "pcap": as_pcap,
    "lines": as_lines,
    "transcript": as_transcript,
}


def heard(said: Said, keys: Keys = Keys()) -> list[Message]:  # noqa: B008 - a frozen value
    return explain(as_wrapper(said), keys).messages


def everything(explained: Explained) -> str:
    """All that could be printed."""
    shown = [line for message in explained.messages for node in message.nodes for line in node.lines()]
    shown += [json.dumps(message.as_json()) for message in explained.messages]
    shown += [problem.text for message in explained.messages for problem in message.problems]
    return "\n".join([*shown, repr(explained)])


# --- what AARQ and AARE teach ---------------------------------------------------------------------------------

CIPHERINGS = {
    "glo": (ServiceProtection, False),
    "ded": (ServiceProtection, True),
    "general-glo": (GeneralProtection, False),
    "general-ded": (GeneralProtection, True),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", CIPHERINGS)
def test_a_session_teaches_titles_and_the_dedicated_key(kind: str, form: str) -> None:
    protection, dedicated = CIPHERINGS[kind]
    ours, theirs = ciphering(protection, dedicated)
    said = opening(ciphered=True, dedicated=dedicated) + exchange(ours, theirs)
    explained = explain(FORMS[form](said), Keys(EK, AK))
    assert explained.problems == []
    names = [message.apdu for message in explained.messages]
    assert names == ["aarq", "aare", "get-request-normal", "get-response-normal"]
    titles = [message.security.system_title for message in explained.messages if message.security is not None]
    assert titles == [CLIENT_TITLE, METER_TITLE] * 2
    assert all(message.security is not None and message.security.verified for message in explained.messages)
    assert explained.messages[3].as_json()["body"] == {"type": "double-long-unsigned", "value": 12_345}
    assert "answers 1.0.1.8.0.255 Active energy import · Register · value" in everything(explained)
    shown = everything(explained)
    for secret in (DEDICATED.octets, EK.octets, AK.octets, PASSWORD):
        assert secret.hex() not in shown.lower()
        assert repr(secret)[2:-1] not in shown


@pytest.mark.parametrize("kind", CIPHERINGS)
def test_the_encryption_key_alone_opens_a_session_and_verifies_nothing(kind: str) -> None:
    protection, dedicated = CIPHERINGS[kind]
    said = opening(ciphered=True, dedicated=dedicated) + exchange(*ciphering(protection, dedicated))
    messages = heard(said, Keys(EK))
    assert messages[3].body is not None
    assert not any(message.security is not None and message.security.verified for message in messages)


def test_a_dedicated_key_that_no_aarq_tells_leaves_it_closed() -> None:
    messages = heard(exchange(*ciphering(ServiceProtection, True)), Keys(EK, AK, METER_TITLE))
    assert [message.apdu for message in messages] == ["ded-get-request", "ded-get-response"]
    assert all("dedicated key" in message.problems[0].text for message in messages)


def test_a_dedicated_key_in_clear_is_learnt_unless_the_transcript_hides_it() -> None:
    said = opening(ciphered=False, dedicated=True) + exchange(*ciphering(GeneralProtection, True))
    assert explain(as_wrapper(said), Keys(None, AK)).messages[3].body is not None
    explained = explain(as_transcript(said), Keys(None, AK))
    assert [message.apdu for message in explained.messages[2:]] == ["general-ded-ciphering"] * 2
    assert {problem.grade for message in explained.messages for problem in message.problems} == {Grade.REMARK}
    assert "user information, hidden in the transcript" in everything(explained)


def test_another_association_begins_with_another_dedicated_key() -> None:
    said = opening(ciphered=True, dedicated=True) + exchange(*ciphering(ServiceProtection, True))
    said += opening(ciphered=True, dedicated=False) + exchange(*ciphering(ServiceProtection, True))
    names = [message.apdu for message in heard(said, Keys(EK, AK))]
    assert names[2:4] == ["get-request-normal", "get-response-normal"]
    assert names[6:] == ["ded-get-request", "ded-get-response"]


def test_two_conversations_at_once_are_kept_apart() -> None:
    first = opening(ciphered=True, dedicated=False) + exchange(*ciphering(ServiceProtection, False))
    second = exchange(*ciphering(ServiceProtection, False))
    octets = as_wrapper(first) + b"".join(
        wrap(*((17, 1) if by_client else (1, 17)), apdu_octets) for by_client, apdu_octets in second
    )
    names = [message.apdu for message in explain(octets, Keys(EK, AK)).messages]
    assert names[2:] == ["get-request-normal", "get-response-normal", "glo-get-request", "glo-get-response"]


def test_an_empty_title_in_a_general_apdu_is_the_partners_known_one() -> None:
    ours, theirs = ciphering(GeneralProtection, False)
    answer = theirs.protect(apdu.GetResponseNormal(0xC1, NUMBER).encode())
    nameless = answer[:1] + b"\x00" + answer[10:]
    assert ours.unprotect(answer).plain
    for keys in (Keys(EK, AK, METER_TITLE), Keys(EK, AK)):
        said = (
            [*opening(ciphered=True, dedicated=False), (False, nameless)]
            if not keys.system_title
            else [(False, nameless)]
        )
        message = heard(said, keys)[-1]
        assert message.security is not None
        assert (message.security.verified, message.security.system_title) == (True, METER_TITLE)


def test_general_ciphering_opens_with_a_shared_key_and_says_why_not_with_another() -> None:
    parties = Parties(METER_TITLE, CLIENT_TITLE, counters())
    push = apdu.DataNotification(1, NUMBER).encode()
    shared = EndToEndProtection(parties, 0x30, SharedKey(EK), AK).protect(push)
    (message,) = heard([(False, shared)], Keys(EK, AK))
    assert message.apdu == "data-notification"
    assert message.security is not None
    assert message.security.verified
    wrapped = EndToEndProtection(parties, 0x30, KeyByWrapping(EK), AK).protect(push)
    for keys, grade, told in (
        (Keys(EK, AK), Grade.REMARK, "wrapped by the master key"),
        (Keys(EK, AK, master=AK), Grade.REFUSED, "wrong master key"),
    ):
        (message,) = heard([(False, wrapped)], keys)
        assert message.problems[0].grade is grade
        assert told in message.problems[0].text
        assert message.apdu == "general-ciphering"
    (message,) = heard([(False, wrapped)], Keys(None, AK, master=EK))
    assert message.security is not None
    assert (message.apdu, message.security.verified) == ("data-notification", True)


def test_a_signature_is_a_layer_that_is_not_checked() -> None:
    inner = ciphering(GeneralProtection, False)[1].protect(apdu.DataNotification(1, NUMBER).encode())
    header = GeneralHeader(b"", METER_TITLE)
    for content, verified in ((inner, True), (apdu.DataNotification(1, NUMBER).encode(), False)):
        (message,) = heard([(False, GeneralSigning(header, content, bytes(64)).encode())], Keys(EK, AK))
        assert message.apdu == "data-notification"
        assert message.security is not None
        assert (message.security.verified, message.security.system_title) == (verified, METER_TITLE)
        assert "the signature is not checked" in message.nodes[0].children[0].text


def test_layers_without_end_are_refused() -> None:
    octets = apdu.DataNotification(1, NUMBER).encode()
    for _ in range(9):
        octets = GeneralSigning(GeneralHeader(), octets, b"").encode()
    explained = explain(as_wrapper([(True, b"\x62\x00"), (False, octets)]), Keys())
    assert "layers" in explained.messages[1].problems[0].text


# --- what comes in blocks -------------------------------------------------------------------------------------


def cut(data: bytes, size: int = 5) -> list[tuple[bool, int, bytes]]:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [(number == len(pieces), number, piece) for number, piece in enumerate(pieces, 1)]


BOTH = (SelectedAttribute(ENERGY), SelectedAttribute(CLOCK))
METHODS = (MethodRef(9, Obis(0, 0, 10, 0, 107), 1), MethodRef(70, Obis(0, 0, 96, 3, 10), 1))
TEXT = axdr.visible_string("a longer text")
VALUES = apdu.encode_list([NUMBER, TEXT])
READ = apdu.encode_results([DataResult(NUMBER), DataResult(error=4)])
DONE = apdu.encode_action_results([ActionResult(0, NUMBER), ActionResult(3)])
N, T = {"type": "double-long-unsigned", "value": 12_345}, {"type": "visible-string", "value": "a longer text"}
NO_OBJECT = {"type": "data-access-result", "value": 4, "text": "object undefined"}
DENIED = {"type": "action-result", "value": 3, "text": "read-write denied"}

BLOCKS: dict[str, tuple[list[Apdu], Any]] = {
    "get": (
        [apdu.GetRequestNormal(0xC1, ENERGY), *(apdu.GetResponseBlock(0xC1, *one) for one in cut(TEXT))],
        T,
    ),
    "get list": (
        [apdu.GetRequestWithList(0xC1, BOTH), *(apdu.GetResponseBlock(0xC1, *one) for one in cut(READ))],
        [N, NO_OBJECT],
    ),
    "set": (
        [
            apdu.SetRequestFirstBlock(0xC1, CLOCK, *cut(TEXT)[0]),
            *(apdu.SetRequestBlock(0xC1, *one) for one in cut(TEXT)[1:]),
        ],
        T,
    ),
    "set list": (
        [
            apdu.SetRequestWithListFirstBlock(0xC1, BOTH, *cut(VALUES)[0]),
            *(apdu.SetRequestBlock(0xC1, *one) for one in cut(VALUES)[1:]),
        ],
        [N, T],
    ),
    "action": (
        [
            apdu.ActionRequestFirstBlock(0xC1, METHODS[0], *cut(TEXT)[0]),
            *(apdu.ActionRequestBlock(0xC1, *one) for one in cut(TEXT)[1:]),
        ],
        T,
    ),
    "action list": (
        [
            apdu.ActionRequestWithListFirstBlock(0xC1, METHODS, *cut(VALUES)[0]),
            *(apdu.ActionRequestBlock(0xC1, *one) for one in cut(VALUES)[1:]),
        ],
        [N, T],
    ),
    "answer of an action": (
        [apdu.ActionRequestNormal(0xC1, METHODS[0]), *(apdu.ActionResponseBlock(0xC1, *one) for one in cut(TEXT))],
        T,
    ),
    "answer of a list of actions": (
        [
            apdu.ActionRequestWithList(0xC1, METHODS, (axdr.null(), axdr.null())),
            *(apdu.ActionResponseBlock(0xC1, *one) for one in cut(DONE)),
        ],
        [N, DENIED],
    ),
}


@pytest.mark.parametrize("what", BLOCKS)
def test_the_last_block_has_the_data_of_all(what: str) -> None:
    apdus, body = BLOCKS[what]
    for repeated in (apdus, [*apdus[:2], apdus[1], *apdus[2:]]):
        messages = heard([(True, value.encode()) for value in repeated])
        assert [message.problems for message in messages] == [[]] * len(messages)
        assert messages[-1].as_json()["body"] == body
        assert messages[-1].apdu == apdus[-1].name
        assert all(message.body is None for message in messages[1:-1])


@pytest.mark.parametrize("what", BLOCKS)
def test_a_missing_block_is_said_and_nothing_is_made_of_the_others(what: str) -> None:
    apdus, _ = BLOCKS[what]
    said = [(True, value.encode()) for value in (*apdus[:-2], apdus[-1])]
    messages = heard(said)
    broken = messages[-1]
    assert (broken.apdu, broken.body) == (None, None)
    assert "is due" in broken.problems[0].text


# --- what stays secret ----------------------------------------------------------------------------------------

SETUP, ASSOCIATION = Obis(0, 0, 43, 0, 0), Obis(0, 0, 40, 0, 0)
NEW_KEY = Key(bytes(range(50, 66)))
TRANSFER = encode_key_transfer(EK, {KeyId.AUTHENTICATION: NEW_KEY})
LLS = axdr.octet_string(PASSWORD)
SECRETS: dict[str, tuple[Said, bytes]] = {
    "a key transfer": (
        [(True, apdu.ActionRequestNormal(0xC1, MethodRef(64, SETUP, 2), TRANSFER).encode())],
        TRANSFER[-20:],
    ),
    "a password that is set": (
        [(True, apdu.SetRequestNormal(0xC1, AttributeRef(15, ASSOCIATION, 7), LLS).encode())],
        PASSWORD,
    ),
    "a password that is set in a list": (
        [
            (
                True,
                apdu.SetRequestWithList(0xC1, (SelectedAttribute(AttributeRef(15, ASSOCIATION, 7)),), (LLS,)).encode(),
            )
        ],
        PASSWORD,
    ),
    "a password that is set in blocks": (
        [
            (True, apdu.SetRequestFirstBlock(0xC1, AttributeRef(15, ASSOCIATION, 7), *cut(LLS, 9)[0]).encode()),
            (True, apdu.SetRequestBlock(0xC1, *cut(LLS, 9)[1]).encode()),
        ],
        PASSWORD[:6],
    ),
    "a password that is accessed": (
        [(True, apdu.AccessRequest(1, (apdu.AccessSet(AttributeRef(15, ASSOCIATION, 7)),), (LLS,)).encode())],
        PASSWORD,
    ),
    "a password that is read": (
        [
            (True, apdu.GetRequestNormal(0xC1, AttributeRef(15, ASSOCIATION, 7)).encode()),
            (False, apdu.GetResponseNormal(0xC1, LLS).encode()),
        ],
        PASSWORD,
    ),
    "a password that is read in a list": (
        [
            (
                True,
                apdu.GetRequestWithList(0xC1, (BOTH[0], SelectedAttribute(AttributeRef(15, ASSOCIATION, 7)))).encode(),
            ),
            (False, apdu.GetResponseWithList(0xC1, (DataResult(NUMBER), DataResult(LLS))).encode()),
        ],
        PASSWORD,
    ),
}


@pytest.mark.parametrize("what", SECRETS)
def test_a_secret_is_not_shown(what: str) -> None:
    said, secret = SECRETS[what]
    explained = explain(as_wrapper(said), Keys())
    assert explained.problems == []
    assert all(message.problems == [] for message in explained.messages)
    shown = everything(explained)
    assert secret.hex() not in shown.lower()
    assert secret.decode("latin-1") not in shown
    assert '"type": "redacted"' in shown
    assert "not shown: it is, or may hold, a secret" in shown


@pytest.mark.parametrize("what", SECRETS)
def test_what_a_transcript_hides_is_no_fault(what: str) -> None:
    said, secret = SECRETS[what]
    transcript = as_transcript(said)
    explained = explain(transcript, Keys())
    assert explained.problems == []
    assert all(message.apdu and message.problems == [] for message in explained.messages)
    assert secret.hex() not in everything(explained)


def test_on_hdlc_a_transcript_hides_the_frame_check_too() -> None:
    for said, _ in SECRETS.values():
        lines = ["# hdlc+tcp://127.0.0.1:4059 client 16 server 1"]
        for number, (by_client, octets) in enumerate(said):
            ends = (HdlcAddress(1), HdlcAddress(16))
            to, of = ends if by_client else ends[::-1]
            header = b"\xe6\xe6\x00" if by_client else b"\xe6\xe7\x00"
            frame = Frame(to, of, Kind.I, send=number, information=header + octets).encode()
            shown = [f"{octet:02x}" for octet in frame]
            start = len(frame) - 3 - len(octets)
            hidden = secret_places(octets) if by_client else ()
            for begin, end in (*hidden, (len(octets), len(octets) + 2)) if hidden else ():
                shown[start + begin : start + end] = ["**"] * (end - begin)
            lines.append(f"2026-01-31T06:15:00Z {'>' if by_client else '<'} {' '.join(shown)}")
        explained = explain("\n".join(lines).encode(), Keys())
        assert explained.problems == []
        assert len(explained.messages) == len(said)
        assert all(message.apdu and message.problems == [] for message in explained.messages)


def test_a_password_or_challenge_of_any_length_that_is_hidden_leaves_the_aarq_readable() -> None:
    for size in (1, 8, 64, 125, 126, 127, 128, 129, 200):
        aarq = acse.encode_aarq(
            ciphered=True,
            mechanism=1,
            client_title=CLIENT_TITLE,
            authentication_value=Secret(b"x" * size),
            user_information=apdu.InitiateRequest(0x10, 1024).encode(),
        )
        explained = explain(as_transcript([(True, aarq)]), Keys())
        assert f"password: {size} octets, not shown" in everything(explained)
        assert explained.messages[0].problems == []


# --- every APDU -----------------------------------------------------------------------------------------------

RANGE = apdu.range_selection(CaptureObject(*CLOCK), STAMP, STAMP, [CaptureObject(*ENERGY)])
EVERY: list[tuple[Apdu, list[str], Any]] = [
    (apdu.GetRequestNormal(0xC1, LOAD, RANGE), ["rows from 2026-01-31T15:15:00 to 2026-01-31T15:15:00 by "], None),
    (apdu.GetRequestNormal(0x81, LOAD, apdu.entry_selection(2)), ["rows 2 to the end, columns 1 to the end"], None),
    (apdu.GetRequestNormal(0xC1, LOAD, b"\x09\x00"), ["selective access, selector 9"], None),
    (apdu.GetRequestNext(0xC1, 7), ["block 7"], None),
    (
        apdu.GetRequestWithList(0xC1, BOTH),
        ["2 attributes", "1.0.1.8.0.255 Active energy import · Register · value"],
        None,
    ),
    (apdu.GetResponseNormal(0xC1, NUMBER), ["double-long-unsigned 12345"], N),
    (apdu.GetResponseNormal(0xC1, error=4), ["data-access-result: object undefined"], NO_OBJECT),
    (apdu.GetResponseBlock(0xC1, True, 3, error=4), ["data-access-result: object undefined"], NO_OBJECT),
    (apdu.GetResponseWithList(0xC1, (DataResult(NUMBER), DataResult(error=4))), [], [N, NO_OBJECT]),
    (apdu.SetRequestNormal(0xC1, CLOCK, NUMBER), ["0.0.1.0.0.255 Clock · Clock · time"], N),
    (apdu.SetRequestWithList(0xC1, BOTH, (NUMBER, TEXT)), ["2 attributes"], [N, T]),
    (apdu.SetResponseNormal(0xC1, 0), [], {"type": "data-access-result", "value": 0, "text": "success"}),
    (apdu.SetResponseBlock(0xC1, 7), ["block 7"], None),
    (apdu.SetResponseLastBlock(0xC1, 4, 8), ["block 8"], NO_OBJECT),
    (apdu.SetResponseLastBlockWithList(0xC1, (4, 4), 8), ["block 8"], [NO_OBJECT] * 2),
    (apdu.SetResponseWithList(0xC1, (4,)), [], [NO_OBJECT]),
    (
        apdu.ActionRequestNormal(0xC1, METHODS[1], NUMBER),
        ["0.0.96.3.10.255 Disconnect control · Disconnect control"],
        N,
    ),
    (apdu.ActionRequestNormal(0xC1, METHODS[1]), [], None),
    (apdu.ActionRequestNextBlock(0xC1, 1), ["block 1"], None),
    (apdu.ActionRequestWithList(0xC1, METHODS, (NUMBER, TEXT)), ["2 methods"], [N, T]),
    (apdu.ActionResponseNormal(0xC1, 0, NUMBER), [], N),
    (apdu.ActionResponseNormal(0xC1, 3), ["action-result: read-write denied"], DENIED),
    (apdu.ActionResponseNormal(0xC1, 0, error=4), [], NO_OBJECT),
    (apdu.ActionResponseWithList(0xC1, (ActionResult(0, NUMBER), ActionResult(3))), [], [N, DENIED]),
    (apdu.ActionResponseNextBlock(0xC1, 1), ["block 1"], None),
    (
        apdu.AccessRequest(
            0x4000_0001,
            (apdu.AccessGet(LOAD, RANGE), apdu.AccessSet(CLOCK), apdu.AccessAction(METHODS[0])),
            (axdr.null(), NUMBER, TEXT),
            STAMP,
        ),
        ["3 accesses", "get: 1.0.99.1.0.255", "set: 0.0.1.0.0.255", "action: ", "date-time 2026-01-31T15:15:00"],
        [{"type": "null-data", "value": None}, N, T],
    ),
    (
        apdu.AccessResponse(
            0x4000_0001,
            (NUMBER, axdr.null(), axdr.null()),
            (apdu.AccessResult(1, 0), apdu.AccessResult(2, 4), apdu.AccessResult(3, 3)),
            (apdu.AccessGet(ENERGY), apdu.AccessSet(CLOCK), apdu.AccessAction(METHODS[0])),
        ),
        ["1.0.1.8.0.255 Active energy import · Register · value: double-long-unsigned 12345"],
        [N, NO_OBJECT, DENIED],
    ),
    (apdu.EventNotification(ENERGY, NUMBER, STAMP), ["date-time 2026-01-31T15:15:00"], N),
    (apdu.DataNotification(0xC000_0005, NUMBER, STAMP), ["invoke-id 5, confirmed, high priority"], N),
    (apdu.DataNotificationConfirm(5), ["invoke-id 5, unconfirmed, normal priority"], None),
    (
        apdu.ExceptionResponse(1, 6, 99),
        ["service not allowed: invocation counter error, expected invocation counter 99"],
        None,
    ),
    (apdu.ConfirmedServiceError(1, 6, 1), ["initiate: DLMS version too low"], None),
    (apdu.InitiateRequest(0x10, 0), ["conformance 000010: get", "APDUs of at most any number of octets"], None),
    (apdu.InitiateResponse(0x10, 1024), ["APDUs of at most 1024 octets"], None),
    (apdu.GeneralBlockTransfer(True, False, 1, 4, 3, b""), ["block 4, acknowledges 3, no data"], None),
]


@pytest.mark.parametrize(("value", "lines", "body"), EVERY, ids=[one[0].name for one in EVERY])
def test_every_apdu_is_explained(value: Apdu, lines: list[str], body: Any) -> None:
    (message,) = explain(value.encode(), Keys()).messages
    assert message.apdu == value.name
    assert message.problems == []
    assert message.as_json()["body"] == body
    shown = "\n".join(message.nodes[0].lines())
    for line in lines:
        assert line in shown


def test_no_kind_of_apdu_was_forgotten() -> None:
    kinds = {
        kind for kind in vars(apdu).values() if isinstance(kind, type) and is_dataclass(kind) and hasattr(kind, "name")
    }
    shown = {type(value) for value, _, _ in EVERY} | {type(value) for apdus, _ in BLOCKS.values() for value in apdus}
    carriers = {
        apdu.GatewayRequest,
        apdu.GatewayResponse,
        apdu.GeneralCiphering,
        apdu.GeneralDedCiphering,
        apdu.GeneralGloCiphering,
        apdu.GeneralSigning,
        apdu.ServiceCiphered,
    }
    assert kinds - carriers == shown
    data = {"data", "values", "parameters", "results", "result", "error", "tagged"}
    for value, _, _ in EVERY:
        if not isinstance(value, apdu.ExceptionResponse | apdu.ConfirmedServiceError | apdu.GeneralBlockTransfer):
            plain = {each.name for each in fields(value)} - data
            assert len(apdu_nodes(value)) > 0 or not plain


def test_a_rejected_association_says_why() -> None:
    for diagnostic, told in ((13, "authentication failed"), (1, "no reason given")):
        aare = acse.encode_aare(result=1, diagnostic=diagnostic)
        (message,) = explain(aare, Keys()).messages
        shown = "\n".join(message.nodes[0].lines())
        assert "result: rejected for good" in shown
        assert told in shown


def test_columns_that_the_capture_describes_head_the_buffer() -> None:
    columns = [
        axdr.structure(axdr.uint16(class_id), axdr.octet_string(bytes(obis)), axdr.int8(attribute), axdr.uint16(0))
        for class_id, obis, attribute in (CLOCK, ENERGY)
    ]
    rows = [axdr.structure(axdr.octet_string(STAMP), axdr.uint32(number)) for number in (1, 2)]
    said: Iterable[Apdu] = (
        apdu.GetRequestNormal(0xC1, LOAD._replace(attribute=3)),
        apdu.GetResponseNormal(0xC1, axdr.array(columns)),
        apdu.GetRequestNormal(0xC2, LOAD),
        apdu.GetResponseNormal(0xC2, axdr.array(rows)),
    )
    messages = heard([(True, value.encode()) for value in said])
    shown = [line.strip() for line in messages[3].nodes[0].lines()]
    assert shown[-6:] == [
        "columns",
        "0.0.1.0.0.255 Clock · time",
        "1.0.1.8.0.255 Active energy import · value",
        "array of 2",
        "row: 2026-01-31T15:15:00, 1",
        "row: 2026-01-31T15:15:00, 2",
    ]
