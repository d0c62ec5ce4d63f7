"""Finding frames: HDLC, wrapper, M-Bus and bare APDUs, segmented, amid noise, cut anywhere, an octet at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from drivers.capture import Keys, LinkFrame, explain
from drivers.capture.framing import Framed
from drivers.capture.hdlc import find_hdlc
from drivers.capture.mbus import find_mbus
from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import GeneralBlockTransfer
from drivers.dlms.wrapper import wrap
from drivers.hdlc.addresses import HdlcAddress
from drivers.hdlc.frames import Frame, Kind, check
from profiles.errors import ProtocolError
from profiles.objects import AttributeRef, Obis

VECTORS = Path(__file__).parent / "vectors"
PUSHES: list[dict[str, Any]] = json.loads((VECTORS / "mbus_pushes.json").read_text(encoding="ascii"))
CLIENT, METER = HdlcAddress(16), HdlcAddress(1, 17, 2)
CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
GET = apdu.GetRequestNormal(0xC1, CLOCK).encode()
STAMP = bytes.fromhex("07ea011f060f0f00ff800000")
ANSWER = apdu.GetResponseNormal(0xC1, axdr.octet_string(STAMP)).encode()
NOTHING = frozenset[int]()


def sent(information: bytes = b"", kind: Kind = Kind.I, **fields: Any) -> bytes:
    return Frame(METER, CLIENT, kind, information=information, **fields).encode()


def answered(information: bytes = b"", kind: Kind = Kind.I, **fields: Any) -> bytes:
    return Frame(CLIENT, METER, kind, information=information, **fields).encode()


def asked(get: bytes = GET) -> bytes:
    return sent(b"\xe6\xe6\x00" + get)


def apdus(framed: Framed) -> list[bytes]:
    return [unit.apdu for unit in framed.units if unit.apdu]


def names(octets: bytes, keys: Keys = Keys()) -> list[str | None]:  # noqa: B008 - a frozen value
    return [message.apdu for message in explain(octets, keys).messages]


# --- HDLC -----------------------------------------------------------------------------------------------------


def segmented(lsdu: bytes, size: int) -> list[bytes]:
    pieces = [lsdu[at : at + size] for at in range(0, len(lsdu), size)]
    return [answered(piece, send=number % 8, segmented=number < len(pieces) - 1) for number, piece in enumerate(pieces)]


LINE = [
    sent(kind=Kind.SNRM, final=True),
    answered(kind=Kind.UA, final=True),
    asked(),
    *segmented(b"\xe6\xe7\x00" + ANSWER, 7),
    answered(kind=Kind.RR, receive=1),
    sent(kind=Kind.DISC, final=True),
    answered(kind=Kind.UA, final=True),
]


def test_a_whole_line_is_explained_frame_by_frame() -> None:
    explained = explain(b"".join(LINE), Keys())
    assert explained.problems == []
    kinds = [[frame.kind for frame in item.frames] for item in explained.items]
    assert kinds == [["SNRM"], ["UA"], ["I"], ["I"] * 3, ["RR"], ["DISC"], ["UA"]]
    assert [message.apdu for message in explained.messages] == ["get-request-normal", "get-response-normal"]
    assert [isinstance(item, LinkFrame) for item in explained.items] == [True, True, False, False, True, True, True]
    frame = explained.messages[0].frames[0]
    assert (frame.framing, frame.source, frame.destination) == ("HDLC", 16, 1)
    assert "device 17" in frame.note


def test_flags_may_be_shared_doubled_or_missing() -> None:
    whole = b"".join(LINE)
    shared = LINE[0][:-1] + b"".join(frame[:-1] for frame in LINE[1:]) + b"\x7e"
    doubled = b"".join(b"\x7e" + frame for frame in LINE)
    for octets in (whole, shared, doubled, whole[:-1], b"\x00\x7e\x7e" + whole):
        assert apdus(find_hdlc(octets, NOTHING)) == [GET, ANSWER]
    assert apdus(find_hdlc(asked()[1:-1], NOTHING)) == [GET], "a frame without its flags"


def test_noise_between_frames_is_passed_over_and_counted() -> None:
    noise = b"/?!\r\n\x7e\xa0\x07\x7e\xa8"
    found = find_hdlc(noise + asked() + noise + LINE[3] + noise, NOTHING)
    assert apdus(found) == [GET]
    assert found.passed_over >= 3 * 7
    explained = explain(noise + asked() + b"\x00\x01\x02", Keys())
    assert [problem.text for problem in explained.problems] == [f"{len(noise) - 2 + 3} octets belong to no HDLC frame"]


def test_a_frame_with_a_wrong_check_is_pointed_at_and_the_next_one_found() -> None:
    spoilt = bytearray(asked())
    spoilt[-5] ^= 1
    explained = explain(bytes(spoilt) + LINE[0] + asked(), Keys())
    assert [message.apdu for message in explained.messages] == ["get-request-normal"]
    (problem,) = explained.problems
    assert problem.text == f"octet {len(spoilt) - 3}: an HDLC frame with a wrong check"


def test_a_frame_check_may_hold_a_flag() -> None:
    for number in range(3000):
        get = apdu.GetRequestNext(0xC1, number).encode()
        frame = asked(get)
        if 0x7E in frame[-3:-1]:
            assert apdus(find_hdlc(frame + frame, NOTHING))[0] == get
            return
    pytest.fail("no such frame")


def test_a_repeated_frame_counts_once() -> None:
    first, *rest = segmented(b"\xe6\xe7\x00" + ANSWER, 10)
    found = find_hdlc(first + first + b"".join(rest) + rest[-1], NOTHING)
    assert apdus(found) == [ANSWER]
    assert sum("sent once more" in unit.frames[0].note for unit in found.units) == 2


def test_notifications_come_in_ui_frames_segmented_too() -> None:
    push = apdu.DataNotification(1, axdr.uint16(7)).encode()
    lsdu = b"\xe6\xe7\x00" + push
    pieces = answered(lsdu[:6], Kind.UI, segmented=True) + answered(lsdu[6:], Kind.UI)
    assert names(answered(lsdu, Kind.UI) + pieces) == ["data-notification"] * 2


def test_an_error_in_a_segment_is_found_at_its_octet_of_the_capture() -> None:
    broken = ANSWER[:5] + b"\x0d" + ANSWER[6:]  # a length of 13, where 12 octets follow
    frames = segmented(b"\xe6\xe7\x00" + broken, 7)
    capture = asked() + b"".join(frames)
    explained = explain(capture, Keys())
    (problem,) = explained.messages[1].problems
    assert capture[problem.octet : problem.octet + 12] == STAMP[:5] + capture[problem.octet + 5 : problem.octet + 12]


def test_segments_that_do_not_end_are_said() -> None:
    explained = explain(asked() + b"".join(segmented(b"\xe6\xe7\x00" + ANSWER, 7)[:-1]), Keys())
    assert "ends after 2" in explained.problems[0].text


def test_information_without_an_llc_header_is_said() -> None:
    explained = explain(asked() + sent(b"\x01\x02\x03\x04", send=1), Keys())
    assert "no LLC header" in explained.problems[0].text


# --- wrapper --------------------------------------------------------------------------------------------------

WRAPPED = wrap(16, 1, GET) + wrap(1, 16, ANSWER)


def test_wrapper_frames_follow_each_other_both_ways() -> None:
    explained = explain(WRAPPED, Keys())
    assert [message.apdu for message in explained.messages] == ["get-request-normal", "get-response-normal"]
    frames = [
        (frame.framing, frame.source, frame.destination) for message in explained.messages for frame in message.frames
    ]
    assert frames == [("wrapper", 16, 1), ("wrapper", 1, 16)]
    assert explained.problems == []


def test_a_capture_that_begins_in_the_middle_of_a_frame_finds_the_next() -> None:
    for start in range(1, len(wrap(16, 1, GET))):
        explained = explain(WRAPPED[start:], Keys())
        assert [message.apdu for message in explained.messages] == ["get-response-normal"]
        assert len(explained.problems) == 1


def test_a_wrapper_frame_without_an_apdu_or_with_something_else_is_said() -> None:
    empty = bytes.fromhex("0001001000010000")
    assert "without an APDU" in explain(WRAPPED + empty + WRAPPED, Keys()).problems[0].text
    other = wrap(16, 1, b"\xffTTP/1.1")
    explained = explain(WRAPPED + other + WRAPPED, Keys())
    assert len(explained.messages) == 4
    assert explained.problems[0].text == f"octet {len(WRAPPED) + 8}: no APDU in a wrapper frame: it begins ff"
    likely = explain(WRAPPED + wrap(16, 1, b"HTTP/1.1") + WRAPPED, Keys()).messages
    assert [message.apdu is None for message in likely] == [False, False, True, False, False]
    assert likely[2].problems[0].octet == len(WRAPPED) + 8 + 2


# --- M-Bus ----------------------------------------------------------------------------------------------------


def mbus(data: bytes, ci: int, address: int = 0xFF) -> bytes:
    body = bytes([0x53, address, ci, 0x01, 0x67]) + data
    return bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) & 0xFF, 0x16])


def test_mbus_frames_join_by_their_ci_field() -> None:
    push = apdu.DataNotification(1, axdr.octet_string(bytes(4000))).encode()
    pieces = [push[at : at + 200] for at in range(0, len(push), 200)]
    assert len(pieces) > 16, "the number of a segment begins anew after 15"
    frames = [mbus(piece, number & 15 | (16 if piece is pieces[-1] else 0)) for number, piece in enumerate(pieces)]
    found = find_mbus(b"".join(frames) + mbus(push[:100], 0x10))
    assert apdus(found) == [push, push[:100]]
    assert len(found.units[0].frames) == len(pieces)
    assert found.stops == []


def test_two_meters_may_send_their_segments_at_the_same_time() -> None:
    first, second = (apdu.DataNotification(number, axdr.octet_string(bytes(20))).encode() for number in (1, 2))
    frames = mbus(first[:9], 0, 1) + mbus(second[:9], 0, 2) + mbus(first[9:], 0x11, 1) + mbus(second[9:], 0x11, 2)
    assert apdus(find_mbus(frames)) == [first, second]


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        (mbus(GET, 0x11), "M-Bus segment 1 where 0 is due"),
        (mbus(GET, 0) + mbus(GET, 0x12), "M-Bus segment 2 where 1 is due"),
        (mbus(GET, 0), "ends after 1"),
        (mbus(GET, 0x72), "CI field 72, which is not DLMS"),
        (mbus(GET, 0x10)[:-1] + b"\x17", "ends 17, not 16"),
        (mbus(GET, 0x10)[:-2] + b"\x00\x16", "wrong sum"),
    ],
)
def test_what_is_wrong_with_mbus_frames_is_said_and_the_next_is_found(frames: bytes, told: str) -> None:
    found = find_mbus(frames + mbus(ANSWER, 0x10, 5))
    assert told in found.stops[0].reason
    assert apdus(found) == [ANSWER]


def test_acknowledgements_and_short_frames_between_are_passed_over() -> None:
    found = find_mbus(b"\xe5" + bytes.fromhex("105b015c16") + mbus(GET, 0x10) + b"\xe5")
    assert (apdus(found), found.passed_over, found.stops) == ([GET], 7, [])


# --- bare APDUs -----------------------------------------------------------------------------------------------


def test_apdus_that_say_their_length_may_follow_each_other() -> None:
    ciphered = bytes.fromhex("c81230012345671312ff935a47566827c467bc0001")
    ciphered = ciphered[:1] + bytes([len(ciphered) - 2]) + ciphered[2:]
    general = b"\xdb\x08ABCDEFGH" + ciphered[1:]
    rlrq = bytes.fromhex("6203800100")
    assert names(ciphered + general + rlrq + GET) == [
        "glo-get-request",
        "general-glo-ciphering",
        "rlrq",
        "get-request-normal",
    ]


def test_an_apdu_keeps_its_llc_header_or_has_none() -> None:
    for header, kind in ((b"\xe6\xe6\x00", "command"), (b"\xe6\xe7\x00", "response")):
        (message,) = explain(header + GET, Keys()).messages
        assert [(frame.framing, frame.kind) for frame in message.frames] == [("LLC", kind)]
    assert explain(GET, Keys()).messages[0].frames == ()


def test_an_apdu_a_line_is_a_message_a_line() -> None:
    text = f"{GET.hex()}\n\n{ANSWER.hex(' ')}\n"
    assert names(text.encode()) == ["get-request-normal", "get-response-normal"]
    folded = "\n".join(ANSWER.hex(" ")[at : at + 15] for at in range(0, 3 * len(ANSWER), 15))
    assert names(folded.encode()) == ["get-response-normal"]


def test_a_gateway_header_is_a_layer_around_the_apdu() -> None:
    request = apdu.GatewayRequest(3, b"\x0a\x0b", GET).encode()
    for octets in (request, wrap(16, 1, request)):
        (message,) = explain(octets, Keys()).messages
        assert message.apdu == "get-request-normal"
        assert message.nodes[0].text == "gateway-request, network 3, device 0a0b"


# --- general block transfer -----------------------------------------------------------------------------------


def blocks(whole: bytes, size: int, first: int = 1) -> list[bytes]:
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    return [
        GeneralBlockTransfer(number == len(pieces), True, 3, first + number - 1, 0, piece).encode()
        for number, piece in enumerate(pieces, 1)
    ]


PUSH = apdu.DataNotification(1, axdr.octet_string(bytes(range(100)))).encode()


@pytest.mark.parametrize("order", [range(6), [0, 2, 1, 3, 4, 5], [5, 4, 3, 2, 1, 0], [0, 1, 1, 2, 5, 3, 5, 4]], ids=str)
def test_blocks_come_together_in_any_order_and_repeated(order: Sequence[int]) -> None:
    pieces = blocks(PUSH, 20)
    assert len(pieces) == 6
    explained = explain(b"".join(wrap(1, 16, pieces[number]) for number in order), Keys())
    assert explained.messages[0].apdu == "data-notification"
    assert len(explained.messages[0].frames) == 6
    assert explained.messages[0].nodes[0].text == "general-block-transfer, 6 blocks"
    assert explained.problems == []


def test_both_sides_send_blocks_and_acknowledgements() -> None:
    request = apdu.SetRequestNormal(0xC1, CLOCK, axdr.octet_string(bytes(60))).encode()
    line = [wrap(16, 1, block) for block in blocks(request, 30)]
    line.insert(1, wrap(1, 16, GeneralBlockTransfer(False, False, 1, 1, 1, b"").encode()))
    line += [wrap(1, 16, block) for block in blocks(PUSH, 40, first=2)]
    line.append(wrap(16, 1, GeneralBlockTransfer(True, False, 1, 4, 4, b"").encode()))
    line += [wrap(16, 1, block) for block in blocks(request, 50)]
    shown = [message.apdu for message in explain(b"".join(line), Keys()).messages]
    acknowledged = "general-block-transfer"
    assert shown == [acknowledged, "set-request-normal", "data-notification", acknowledged, "set-request-normal"]


def test_a_transfer_that_does_not_end_is_said_with_what_is_missing() -> None:
    pieces = blocks(PUSH, 20)
    octets = b"".join(wrap(1, 16, pieces[number]) for number in (0, 3, 5)) + wrap(16, 1, GET)
    explained = explain(octets, Keys())
    assert [message.apdu for message in explained.messages] == ["get-request-normal"]
    assert "missing are 2, 3, 5" in explained.problems[0].text


# --- everything cut, and an octet at a time -------------------------------------------------------------------

STREAMS = {
    "HDLC": b"".join(LINE),
    "wrapper": WRAPPED,
    "M-Bus": bytes.fromhex(PUSHES[0]["hex"]),
    "blocks": b"".join(wrap(1, 16, block) for block in blocks(PUSH, 20)),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_transcript_of_single_octets_is_the_same_stream(name: str) -> None:
    octets = STREAMS[name]
    lines = [f"2026-01-31T06:15:00.{number:06}Z < {octet:02x}" for number, octet in enumerate(octets)]
    slowly = explain("\n".join(["# one", *lines]).encode(), Keys())
    at_once = explain(octets, Keys())
    assert [message.as_json() for message in slowly.messages] == [message.as_json() for message in at_once.messages]
    assert len(slowly.items) == len(at_once.items)
    assert slowly.problems == at_once.problems == []


@pytest.mark.parametrize("name", STREAMS)
def test_a_capture_cut_anywhere_gives_what_is_whole_and_says_where_it_ends(name: str) -> None:
    octets = STREAMS[name]
    whole = [message.as_json() for message in explain(octets, Keys()).messages]
    silent = 0
    for size in range(1, len(octets)):
        found, said = messages_or_error(octets[:size])
        assert found == whole[: len(found)]
        assert all(octet <= size for octet in said)
        silent += not said
    assert silent <= 3 * octets.count(b"\x7e") + len(whole), "it was cut where a frame ends"


def messages_or_error(octets: bytes) -> tuple[list[dict[str, Any]], list[int]]:
    """What is understood, and the octets where understanding stopped."""
    try:
        explained = explain(octets, Keys())
    except ProtocolError as error:
        return [], [] if error.octet is None else [error.octet]
    return [message.as_json() for message in explained.messages], [problem.octet for problem in explained.problems]


@pytest.mark.parametrize(
    ("octets", "octet", "told"),
    [
        ("ff", 0, "not known here, it begins ff"),
        ("c0", 0, "not known here"),
        ("c001", 2, "1 octets expected at octet 2"),
        ("c401c10009", 5, "ends inside a value"),
        ("c401c100090c07", 6, "a string of 12 octets"),
        ("c401c1000105", 6, "5 elements announced"),
        ("c401c10008", 4, "tag 8"),
        ("c401c100110100", 6, "1 octets too many"),
        ("000100100001000dc001", 10, "ends after 2"),
        ("00010010", 4, "a wrapper header ends after 4"),
        ("0002", 1, "it begins 0002, not 0001"),
        ("7ea019032102", 6, "no sound header"),
        ("e6e700", 3, "nothing follows the LLC header"),
        ("60208001", 4, "length 32"),
        ("c805300000", 5, "length 5"),
        ("c8050000000001", 2, "security control 00"),
        ("e60000c0", 3, "not known here, it begins c0"),
    ],
)
def test_garbage_is_said_with_the_octet_where_understanding_stopped(octets: str, octet: int, told: str) -> None:
    for given in (octets.encode(), bytes.fromhex(octets)):
        with pytest.raises(ProtocolError, match=f"^not DLMS: understanding stopped at octet {octet}: ") as error:
            explain(given, Keys())
        assert told in error.value.message
        assert error.value.exit_code == 5


def test_the_frame_check_of_what_was_built_here_is_the_standards() -> None:
    assert check(bytes.fromhex("a007032193")) == bytes.fromhex("0f01")
