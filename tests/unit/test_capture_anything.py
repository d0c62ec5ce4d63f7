"""Anything may be given to `decode`: it ends in messages or in our error, soon, whatever the octets are."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packets import CLIENT, METER, conversation, ethernet, ip, pcap, pcapng, tcp

from drivers.capture import Explained, Keys, explain
from drivers.dlms import acse, apdu, axdr
from drivers.dlms.security import Key, Parties, ServiceProtection
from drivers.dlms.wrapper import wrap
from drivers.hdlc.addresses import HdlcAddress
from drivers.hdlc.frames import Frame, Kind
from profiles.errors import ProtocolError
from profiles.objects import AttributeRef, Obis

KEY, OTHER = Key(bytes(range(16))), Key(bytes(range(16, 32)))
TITLE = b"MMM\x00\x00\xbc\x61\x4e"
KEYS = Keys(KEY, OTHER, TITLE)
VECTORS = Path(__file__).parent / "vectors"
GET = apdu.GetRequestNormal(0xC1, AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)).encode()
ANSWER = apdu.GetResponseNormal(0xC1, axdr.structure(axdr.octet_string(bytes(6)), axdr.uint16(1))).encode()
CIPHERED = ServiceProtection(Parties(TITLE, TITLE, lambda: 7), 0x30, KEY, OTHER).protect(ANSWER)
AARQ = acse.encode_aarq(
    ciphered=True,
    mechanism=5,
    client_title=TITLE,
    authentication_value=bytes(8),
    user_information=apdu.InitiateRequest(0x10, 1024, bytes(16)).encode(),
)
CAPTURES = [
    ANSWER,
    AARQ + CIPHERED + ANSWER,
    wrap(16, 1, AARQ)
    + wrap(1, 16, CIPHERED)
    + wrap(1, 16, apdu.GeneralBlockTransfer(True, True, 1, 1, 0, GET).encode()),
    Frame(HdlcAddress(1, 1, 2), HdlcAddress(16), Kind.I, information=b"\xe6\xe6\x00" + AARQ).encode(),
    *(
        bytes.fromhex(sample["hex"])
        for sample in json.loads((VECTORS / "mbus_pushes.json").read_text(encoding="ascii"))
    ),
    *(bytes.fromhex(sample["hex"]) for sample in json.loads((VECTORS / "han_push_samples.json").read_text("ascii"))),
    pcap(map(ethernet, conversation([(True, wrap(16, 1, GET)), (False, wrap(1, 16, ANSWER))]))),
    pcapng(map(ethernet, conversation([(True, wrap(16, 1, AARQ)), (False, wrap(1, 16, CIPHERED))]))),
    b"# title\n2026-01-31T06:15:00Z > 00 01 00 10 00 01 00 02 62 **\n2026-01-31T06:15:00Z < 63 00\n",
]


def explained(octets: bytes) -> Explained | None:
    """What comes out, written as `--json` and as a tree; None where nothing is understood."""
    try:
        found = explain(octets, KEYS)
    except ProtocolError as error:
        if not error.message.startswith("not DLMS: understanding stopped at octet "):
            raise
        return None
    for message in found.messages:
        json.dumps(message.as_json(), allow_nan=False)
        assert all(line.isprintable() for node in message.nodes for line in node.lines())
    return found


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=300))
def test_any_octets_are_explained_or_refused(octets: bytes) -> None:
    explained(octets)


STARTS = [
    b"\x00\x01\x00\x10\x00\x01",
    b"\x7e\xa0",
    b"\x68\x20\x20\x68",
    b"\xe6\xe7\x00",
    *(bytes([n]) for n in range(256)),
]


@settings(deadline=None, max_examples=500)
@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_any_octets_behind_the_beginning_of_something_are_too(start: bytes, octets: bytes) -> None:
    explained(start + octets)
    explained(wrap(1, 16, start + octets))


@settings(deadline=None, max_examples=600)
@given(st.sampled_from(CAPTURES), st.data())
def test_a_capture_altered_anywhere_is_explained_or_refused(capture: bytes, data: st.DataObject) -> None:
    octets = bytearray(capture)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(octets) - 1))
        change = data.draw(st.sampled_from(["flip", "cut", "double", "insert"]))
        if change == "flip":
            octets[at] ^= data.draw(st.integers(1, 255))
        elif change == "cut" and len(octets) > 1:
            del octets[at]
        elif change == "double":
            octets[at:at] = octets[at : at + data.draw(st.integers(1, 30))]
        else:
            octets[at:at] = data.draw(st.binary(min_size=1, max_size=5))
    explained(bytes(octets))


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=200, alphabet="0123456789abcdefABCDEFx:, \n><*#TZ-."))
def test_any_text_is_explained_or_refused(text: str) -> None:
    explained(text.encode())


def test_much_noise_is_refused_at_its_first_octet() -> None:
    for seed in range(5):
        noise = b"\xff" + random.Random(seed).randbytes(1 << 20)
        with pytest.raises(ProtocolError, match=r"^not DLMS: understanding stopped at octet 0: "):
            explain(noise, KEYS)


def test_every_whole_capture_is_understood() -> None:
    for capture in CAPTURES:
        found = explained(capture)
        assert found is not None
        assert found.messages


MANY = {
    "flags": lambda size: b"\x7e" * size,
    "starts of HDLC frames": lambda size: bytes.fromhex("7ea7ff0221") * (size // 5),
    "HDLC headers": lambda size: Frame(HdlcAddress(1), HdlcAddress(16), Kind.RR).encode()[:-3] * (size // 8),
    "wrapper versions": lambda size: b"\x00\x01" * (size // 2),
    "wrapper headers": lambda size: b"\x00\x01\x00\x01\x00\x01\xff\xff" * (size // 8),
    "M-Bus starts": lambda size: b"\x68" * size,
    "zeros": bytes,
    "deep structures": lambda size: b"\x0f\x00\x00\x00\x01\x00" + b"\x02\x01" * (size // 2),
    "many nulls": lambda size: b"\x0f\x00\x00\x00\x01\x00\x01\x83" + size.to_bytes(3, "big") + bytes(size),
    "ciphered APDUs": lambda size: CIPHERED * (size // len(CIPHERED)),
    "segments out of order": lambda size: pcap(
        [
            ip(METER, CLIENT, tcp(METER, CLIENT, 10 * (number * 7919 % 99_991), b"123456789"))
            for number in range(size // 64)
        ],
        101,
    ),
}


@pytest.mark.parametrize("what", MANY)
def test_much_of_the_same_takes_time_in_proportion(what: str) -> None:
    make: Callable[[int], bytes] = MANY[what]

    def seconds(size: int) -> float:
        octets = make(size)
        begin = time.process_time()
        explained(octets)
        return time.process_time() - begin

    small = min(seconds(25_000) for _ in range(2))
    assert seconds(200_000) < 8 * 4 * small + 1.0
