"""What nobody should read is not shown by `decode`, and what a transcript left out is no fault of it."""

from __future__ import annotations

import json

import pytest
from captured import Said, as_transcript, as_wrapper

from drivers.capture import Explained, Keys, explain
from drivers.dlms import acse, apdu, axdr
from drivers.dlms.apdu import DataResult, SelectedAttribute
from drivers.dlms.security import Key, KeyId, Secret, encode_key_transfer
from drivers.hdlc.addresses import HdlcAddress
from drivers.hdlc.frames import Frame, Kind
from drivers.links.secrets import secret_places
from profiles.objects import AttributeRef, MethodRef, Obis

ENERGY = SelectedAttribute(AttributeRef(3, Obis(1, 0, 1, 8, 0), 2))
NUMBER = axdr.uint32(12_345)
PASSWORD = b"pass-word"
EK = Key(bytes(range(16)))
CLIENT_TITLE = b"HES\x00\x00\x00\x00\x01"


def everything(explained: Explained) -> str:
    """All that could be printed."""
    shown = [line for message in explained.messages for node in message.nodes for line in node.lines()]
    shown += [json.dumps(message.as_json()) for message in explained.messages]
    shown += [problem.text for message in explained.messages for problem in message.problems]
    return "\n".join([*shown, repr(explained)])


def cut(data: bytes, size: int = 5) -> list[tuple[bool, int, bytes]]:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [(number == len(pieces), number, piece) for number, piece in enumerate(pieces, 1)]


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
                apdu.GetRequestWithList(0xC1, (ENERGY, SelectedAttribute(AttributeRef(15, ASSOCIATION, 7)))).encode(),
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
