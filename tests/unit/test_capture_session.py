"""Whole conversations: what they teach, what is opened by it, what stays closed."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from captured import FORMS, Said, as_transcript, as_wrapper

from drivers.capture import Explained, Grade, Keys, Message, explain
from drivers.dlms import acse, apdu, axdr
from drivers.dlms.apdu import GeneralHeader, GeneralSigning
from drivers.dlms.security import (
    EndToEndProtection,
    GeneralProtection,
    Key,
    KeyByWrapping,
    Parties,
    Protection,
    Secret,
    ServiceProtection,
    SharedKey,
)
from drivers.dlms.wrapper import wrap
from profiles.objects import AttributeRef, Obis

EK, AK = Key(bytes(range(16))), Key(bytes(range(0xD0, 0xE0)))
DEDICATED = Key(bytes.fromhex("00112233445566778899aabbccddeeff"))
CLIENT_TITLE, METER_TITLE = b"HES\x00\x00\x00\x00\x01", b"MMM\x00\x00\xbc\x61\x4e"
PASSWORD = b"pass-word"
CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
ENERGY = AttributeRef(3, Obis(1, 0, 1, 8, 0), 2)
LOAD = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)
STAMP = bytes.fromhex("07ea011f060f0f00ff800000")
NUMBER = axdr.uint32(12_345)


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
