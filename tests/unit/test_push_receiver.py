"""Pushes found in what a line brings: real notifications in every framing, cut anywhere, among noise, in blocks."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import apdu
from drivers.dlms.apdu import DataNotificationConfirm, GatewayRequest, GatewayResponse, GeneralBlockTransfer
from drivers.dlms.block_transfer import IDLE_LIMIT, BlockTransfer
from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.hdlc import llc
from drivers.hdlc.addresses import HdlcAddress, server_address
from drivers.hdlc.client import HdlcClient, Procedure, T, Write
from drivers.hdlc.frames import Frame, Kind
from drivers.hdlc.parameters import Parameters
from drivers.hdlc.reader import FrameReader
from drivers.hdlc.server import unnumbered
from drivers.push import Arrival, PushReceiver, Route
from drivers.push.framing import MAX_NOISE, MAX_SENDERS
from drivers.push.mbus import MbusFrame, MbusReader
from drivers.push.receiver import MAX_JOINED, MAX_TRANSFERS
from profiles.errors import HeadEndError, ProtocolError

SAMPLES = json.loads((Path(__file__).parent / "vectors" / "han_push_samples.json").read_text(encoding="ascii"))
APDUS = [bytes.fromhex(sample["apdu"]) for sample in SAMPLES]
METER, CLIENT = server_address(1, 17), HdlcAddress(64)
CONFIRM = DataNotificationConfirm(0x4000_0000).encode()


def in_wrapper(octets: bytes) -> bytes:
    return wrap(1, 64, octets)


def in_i_frames(octets: bytes, size: int = 100) -> bytes:
    """As meters send that connect to nobody."""
    parts = llc.segments(llc.RESPONSE + octets, size)
    return b"".join(
        Frame(CLIENT, METER, Kind.I, True, 0, 0, part, index < len(parts) - 1).encode()
        for index, part in enumerate(parts)
    )


def through_gateway(octets: bytes) -> bytes:
    return in_wrapper(GatewayResponse(3, b"12345", octets).encode())


def in_blocks(octets: bytes, window: int = 0, size: int = 60) -> list[bytes]:
    """An APDU in unconfirmed blocks, in the wrapper."""
    parts = llc.segments(octets, size)
    return [
        in_wrapper(GeneralBlockTransfer(index == len(parts), True, window, index, 0, part).encode())
        for index, part in enumerate(parts, 1)
    ]


def in_mbus(octets: bytes, size: int = 100) -> bytes:
    parts = llc.segments(octets, size)
    return b"".join(
        MbusFrame(1, 64, part, index & 0x0F, index == len(parts) - 1).encode() for index, part in enumerate(parts)
    )


FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "wrapper": in_wrapper,
    "gateway": through_gateway,
    "UI frame": lambda octets: unnumbered(64, METER, octets, 2000),
    "UI frames": lambda octets: unnumbered(64, METER, octets, 40),
    "I frame": lambda octets: in_i_frames(octets, 2000),
    "I frames": in_i_frames,
    "M-Bus": in_mbus,
    "M-Bus, many segments": lambda octets: in_mbus(octets, 9),
    "blocks": lambda octets: b"".join(in_blocks(octets)),
}


@pytest.fixture(params=FRAMINGS)
def framed(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return FRAMINGS[request.param]


def arrivals(receiver: PushReceiver, *pieces: bytes) -> list[Arrival]:
    found = []
    for piece in pieces:
        receiver.feed(piece)
        found += list(iter(receiver.next, None))
    return found


def octet_by_octet(octets: bytes) -> list[bytes]:
    return [octets[at : at + 1] for at in range(len(octets))]


# --- framings -------------------------------------------------------------------------------------------------


def test_notifications_from_the_field_are_found_whole_and_one_octet_at_a_time(
    framed: Callable[[bytes], bytes],
) -> None:
    stream = b"".join(map(framed, APDUS))
    for pieces in ([stream], octet_by_octet(stream), [stream[:77], stream[77:78], stream[78:]]):
        receiver = PushReceiver("[::1]:4059")
        assert [arrival.apdu for arrival in arrivals(receiver, *pieces)] == APDUS
        assert not receiver.incomplete
        assert receiver.outgoing() == []


def test_an_arrival_says_which_way_it_came() -> None:
    ends = {name: arrivals(PushReceiver("peer"), frame(APDUS[0]))[0] for name, frame in FRAMINGS.items()}
    assert {arrival.peer for arrival in ends.values()} == {"peer"}
    assert {(arrival.route.source, arrival.route.destination) for arrival in ends.values()} == {(1, 64)}
    assert ends["wrapper"].route == Route("wrapper", 1, 64)
    assert ends["gateway"].route == Route("wrapper", 1, 64, gateway=(0xE7, 3, b"12345"))
    assert ends["UI frames"].route == Route("hdlc", 1, 64, (METER, CLIENT))


def test_a_half_received_push_is_said_to_be_incomplete(framed: Callable[[bytes], bytes]) -> None:
    octets = framed(APDUS[0])
    receiver = PushReceiver()
    assert not receiver.incomplete
    assert arrivals(receiver, octets[:-3]) == []
    assert receiver.incomplete
    assert len(arrivals(receiver, octets[-3:])) == 1
    assert not receiver.incomplete


@pytest.mark.parametrize("sample", APDUS, ids=[sample["meter"] for sample in SAMPLES])
def test_a_datagram_is_a_frame_or_one_bare_apdu_with_or_without_an_llc_header(sample: bytes) -> None:
    receiver = PushReceiver(datagrams=True)
    for datagram, name in (
        (sample, "bare"),
        (llc.RESPONSE + sample, "bare"),
        (in_wrapper(sample), "wrapper"),
        (through_gateway(sample), "wrapper"),
        (GatewayRequest(3, b"12345", sample).encode(), "bare"),
        (FRAMINGS["UI frame"](sample), "hdlc"),
        (in_mbus(sample), "m-bus"),
    ):
        (arrival,) = arrivals(receiver, datagram)
        assert (arrival.apdu, arrival.route.framing) == (sample, name)
    assert not receiver.incomplete


def test_segments_and_blocks_may_come_in_several_datagrams() -> None:
    receiver, octets = PushReceiver(datagrams=True), APDUS[0]
    reader = FrameReader()
    reader.feed(FRAMINGS["UI frames"](octets))
    frames = [frame.encode() for frame in iter(reader.next, None)]
    assert len(frames) > 3
    for datagrams in (frames, in_blocks(octets)):
        assert arrivals(receiver, *datagrams[:-1]) == []
        assert receiver.incomplete
        assert [arrival.apdu for arrival in arrivals(receiver, datagrams[-1])] == [octets]


def test_a_datagram_that_ends_within_a_frame_is_refused_and_the_next_one_is_taken() -> None:
    receiver = PushReceiver(datagrams=True)
    for whole in (in_wrapper(APDUS[0]), FRAMINGS["UI frame"](APDUS[0]), in_mbus(APDUS[0], 250)):
        with pytest.raises(ProtocolError, match="ends within a frame"):
            arrivals(receiver, whole[:-5])
        assert [arrival.apdu for arrival in arrivals(receiver, whole)] == [APDUS[0]]
    with pytest.raises(ProtocolError, match="it begins 601d0000"):
        arrivals(receiver, b"\x60\x1d" + bytes(20))


# --- HDLC -----------------------------------------------------------------------------------------------------


class Line:
    """Runs the procedures of a client that calls in against the receiver."""

    def __init__(self, receiver: PushReceiver, cut: int) -> None:
        self.receiver = receiver
        self.found: list[Arrival] = []
        self.heard: list[bytes] = []
        self.now = 0.0
        self._cut = cut
        self.client = HdlcClient(
            32, server_address(1, 16), clock=lambda: self.now, offered=Parameters(100, 100, 3, 3), timeout_s=10
        )

    def run(self, procedure: Procedure[T]) -> T:
        try:
            step = next(procedure)
            while True:
                step = procedure.send(self._do(step.octets if isinstance(step, Write) else None))
        except StopIteration as done:
            result: T = done.value
            return result

    def _do(self, octets: bytes | None) -> bytes | None:
        if octets is not None:
            for at in range(0, len(octets), self._cut):
                self.found += arrivals(self.receiver, octets[at : at + self._cut])
            self.heard += self.receiver.outgoing()
            return None
        self.now += 0.5
        return self.heard.pop(0) if self.heard else b""


@pytest.mark.parametrize("cut", [1, 10_000])
def test_a_caller_that_connects_by_hdlc_is_acknowledged_and_given_the_confirmation_when_it_polls(cut: int) -> None:
    line = Line(PushReceiver(), cut)
    line.run(line.client.connect())
    for octets in [*APDUS, bytes(5000)]:
        line.run(line.client.send(octets))
        line.run(line.client.disconnect() if octets == APDUS[-1] else line.client._take_turn())
        if not line.client.connected:
            line.run(line.client.connect())
        assert line.found[-1].apdu == octets
        assert line.found[-1].route == Route("hdlc", 32, 1, (HdlcAddress(32), server_address(1, 16)))
        line.receiver.send(line.found[-1].route, CONFIRM)
        assert line.receiver.outgoing() == [], "a station speaks when it is polled"
        assert line.run(line.client.receive()) == CONFIRM
    assert [arrival.apdu for arrival in line.found] == [*APDUS, bytes(5000)]


def test_a_confirmation_to_who_did_not_connect_goes_in_ui_frames() -> None:
    receiver = PushReceiver()
    (arrival,) = arrivals(receiver, FRAMINGS["UI frames"](APDUS[0]))
    receiver.send(arrival.route, bytes(200))
    reader = FrameReader()
    reader.feed(b"".join(receiver.outgoing()))
    frames = list(iter(reader.next, None))
    assert {(frame.kind, frame.destination, frame.source) for frame in frames} == {(Kind.UI, METER, CLIENT)}
    assert b"".join(frame.information for frame in frames) == llc.COMMAND + bytes(200)
    assert [frame.segmented for frame in frames] == [True, False]


def test_nothing_is_answered_on_a_line_where_nobody_connects_to_us() -> None:
    receiver = PushReceiver()
    for kind in (Kind.RR, Kind.RNR, Kind.REJ, Kind.UA, Kind.DM, Kind.FRMR):
        assert arrivals(receiver, Frame(CLIENT, METER, kind, True).encode()) == []
    assert arrivals(receiver, in_i_frames(APDUS[0]))[0].apdu == APDUS[0]
    assert receiver.outgoing() == []


def test_segments_of_several_meters_on_one_line_do_not_mix_and_are_bounded() -> None:
    receiver = PushReceiver()
    meters = [server_address(1, 17 + number) for number in range(MAX_SENDERS + 1)]
    firsts = [Frame(CLIENT, meter, Kind.UI, False, 0, 0, llc.RESPONSE + APDUS[0][:50], True) for meter in meters]
    rests = [Frame(CLIENT, meter, Kind.UI, False, 0, 0, APDUS[0][50:]) for meter in meters]
    assert arrivals(receiver, b"".join(frame.encode() for frame in firsts)) == []
    found = arrivals(receiver, b"".join(frame.encode() for frame in rests[1:]))
    assert [arrival.apdu for arrival in found] == [APDUS[0]] * MAX_SENDERS
    with pytest.raises(ProtocolError, match="no LLC header"):
        arrivals(receiver, rests[0].encode())


def test_noise_between_hdlc_frames_is_passed_over_up_to_a_bound() -> None:
    receiver, whole = PushReceiver(), FRAMINGS["UI frame"](APDUS[0])
    spoilt = bytearray(whole)
    spoilt[60] ^= 0xFF
    noise = bytes(range(0x80, 0xC0)) * 20
    assert len(arrivals(receiver, whole + noise + spoilt + noise + whole)) == 2
    for _ in range(20):
        assert len(arrivals(receiver, noise + whole)) == 1
    with pytest.raises(ProtocolError, match="without a sound HDLC frame"):
        arrivals(receiver, *[noise] * (MAX_NOISE // len(noise) + 2))


# --- M-Bus ----------------------------------------------------------------------------------------------------


def test_a_recorded_frame_is_read_as_its_fields_say_and_encoded_again() -> None:
    octets = bytes.fromhex("6826266853ff110167b46961ce962b2c78050c96598c7e4d26658043f9cbca78189bd01b139f8ae0f7391116")
    frame = MbusFrame(0x01, 0x67, octets[9:-2], 1, True, 0xFF, 0x53)
    assert frame.encode() == octets
    reader = MbusReader(1000)
    reader.feed(octets)
    assert reader.next() is None, "its first segment is missing"
    assert (reader.passed_over, reader.incomplete) == (0, False)


def test_a_lost_m_bus_segment_loses_its_push_and_no_other() -> None:
    frames = [MbusFrame(1, 64, part, index, index == 2) for index, part in enumerate(llc.segments(APDUS[0], 100))]
    receiver = PushReceiver()
    assert arrivals(receiver, frames[0].encode(), frames[2].encode()) == []
    assert not receiver.incomplete
    assert [arrival.apdu for arrival in arrivals(receiver, in_mbus(APDUS[1]))] == [APDUS[1]]
    assert arrivals(receiver, frames[0].encode(), frames[1].encode()) == []
    assert [arrival.apdu for arrival in arrivals(receiver, in_mbus(APDUS[0]))] == [APDUS[0]]


def test_noise_between_m_bus_frames_is_passed_over_up_to_a_bound() -> None:
    receiver, whole = PushReceiver(), in_mbus(APDUS[0])
    spoilt = bytearray(whole)
    spoilt[20] ^= 0xFF
    noise = bytes([0x68, 0x03, 0x68, 0x20, 0x20, 0x67, 0x16]) * 100
    found = arrivals(receiver, *octet_by_octet(whole + noise + spoilt + noise + whole))
    assert [arrival.apdu for arrival in found] == [APDUS[0]] * 2
    with pytest.raises(ProtocolError, match="without a sound M-Bus frame"):
        arrivals(receiver, *[noise] * (MAX_NOISE // len(noise) + 2))


def test_an_answer_goes_back_in_m_bus_frames() -> None:
    receiver = PushReceiver()
    (arrival,) = arrivals(receiver, in_mbus(APDUS[0]))
    assert arrival.route == Route("m-bus", 1, 64, mbus=0xFF)
    receiver.send(arrival.route, bytes(300))
    back = MbusReader(1000)
    back.feed(b"".join(receiver.outgoing()))
    answered = back.next()
    assert answered is not None
    assert (answered[0].source, answered[0].destination, answered[1]) == (64, 1, bytes(300))


# --- blocks ---------------------------------------------------------------------------------------------------


def sender_and_receiver(lose: Callable[[int], bool], window: int = 4) -> tuple[list[Arrival], PushReceiver, int]:
    """A meter pushes in confirmed blocks over a line that loses some of what it sends."""
    receiver, meter, back = PushReceiver(), BlockTransfer(70, window), Unwrapper()
    found: list[Arrival] = []
    said, sent, silences = meter.start(APDUS[0]), 0, 0
    while not meter.delivered and silences < 10:
        for block in said:
            sent += 1
            if not lose(sent):
                found += arrivals(receiver, in_wrapper(block))
        said = []
        answered = receiver.outgoing()
        if not answered:
            silences += 1
            receiver.idle()
            answered = receiver.outgoing()
            said = meter.idle() if not answered else []
        back.feed(b"".join(answered))
        for frame in iter(back.next, None):
            assert (frame.source, frame.destination) == (64, 1)
            said += meter.handle(frame.apdu)
    assert meter.delivered
    return found, receiver, silences


def test_confirmed_blocks_are_acknowledged_and_joined() -> None:
    found, receiver, silences = sender_and_receiver(lambda _: False)
    assert ([arrival.apdu for arrival in found], silences) == ([APDUS[0]], 0)
    assert not receiver.incomplete


@pytest.mark.parametrize("lost", range(1, 6))
def test_a_lost_block_is_asked_for_again(lost: int) -> None:
    found, receiver, _ = sender_and_receiver(lambda number: number == lost)
    assert [arrival.apdu for arrival in found] == [APDUS[0]]
    assert not receiver.incomplete


def test_doubled_blocks_make_no_second_push() -> None:
    receiver, blocks = PushReceiver(), in_blocks(APDUS[0], window=1)
    found = arrivals(receiver, *[block for block in blocks for _ in range(2)])
    assert [arrival.apdu for arrival in found] == [APDUS[0]]


def test_a_push_whose_block_is_missing_ends_in_an_error() -> None:
    blocks = in_blocks(APDUS[0])
    with pytest.raises(ProtocolError, match="got lost"):
        arrivals(PushReceiver(), *blocks[:1], *blocks[2:])
    receiver = PushReceiver()
    assert arrivals(receiver, *blocks[:-1]) == []
    assert receiver.in_blocks
    with pytest.raises(ProtocolError, match="got lost"):
        receiver.idle()


def test_blocks_that_stay_away_are_asked_for_a_few_times_only() -> None:
    receiver = PushReceiver()
    arrivals(receiver, in_blocks(APDUS[0], window=1)[0])
    receiver.outgoing()
    for _ in range(IDLE_LIMIT):
        receiver.idle()
        assert len(receiver.outgoing()) == 1
    with pytest.raises(ProtocolError, match="nothing more comes"):
        receiver.idle()
    assert not receiver.incomplete


def test_a_truncated_block_is_refused() -> None:
    block = GeneralBlockTransfer(False, True, 0, 1, 0, APDUS[0][:60]).encode()
    for size in range(1, len(block)):
        with pytest.raises(ProtocolError):
            arrivals(PushReceiver(), in_wrapper(block[:size]))


def test_transfers_of_several_meters_do_not_mix_and_are_bounded() -> None:
    receiver = PushReceiver()
    pieces = [llc.segments(octets, 100) for octets in [APDUS[0]] * MAX_TRANSFERS]
    for number, piece in enumerate(zip(*pieces, strict=True), 1):
        for meter, part in enumerate(piece, 1):
            block = GeneralBlockTransfer(number == len(pieces[0]), True, 0, number, 0, part)
            found = arrivals(receiver, wrap(meter, 64, block.encode()))
            assert len(found) == (number == len(pieces[0]))
    for meter in range(100):
        arrivals(receiver, wrap(meter, 64, GeneralBlockTransfer(False, True, 0, 1, 0, b"\x0f").encode()))
    assert len(receiver._transfers) == MAX_TRANSFERS


def test_blocks_that_never_end_are_bounded() -> None:
    receiver, data = PushReceiver(), bytes(60_000)
    last = MAX_JOINED // len(data) + 1
    blocks = [in_wrapper(GeneralBlockTransfer(False, True, 0, number + 1, 0, data).encode()) for number in range(last)]
    assert arrivals(receiver, *blocks[:-1]) == []
    with pytest.raises(ProtocolError, match="more than"):
        arrivals(receiver, blocks[-1])


# --- answers --------------------------------------------------------------------------------------------------


def test_an_answer_goes_back_the_way_that_the_push_came() -> None:
    receiver = PushReceiver()
    (arrival,) = arrivals(receiver, in_wrapper(APDUS[0]))
    receiver.send(arrival.route, CONFIRM)
    assert receiver.outgoing() == [wrap(64, 1, CONFIRM)]
    (arrival,) = arrivals(receiver, through_gateway(APDUS[0]))
    receiver.send(arrival.route, CONFIRM)
    assert receiver.outgoing() == [wrap(64, 1, GatewayRequest(3, b"12345", CONFIRM).encode())]

    datagrams = PushReceiver(datagrams=True)
    bare, wrapped = arrivals(datagrams, APDUS[0], in_wrapper(APDUS[0]))
    datagrams.send(bare.route, CONFIRM)
    datagrams.send(wrapped.route, CONFIRM)
    assert datagrams.outgoing() == [CONFIRM, wrap(64, 1, CONFIRM)]
    assert datagrams.outgoing() == []


# --- garbage --------------------------------------------------------------------------------------------------


def garbage() -> Iterator[tuple[str, bytes]]:
    yield "random", bytes.fromhex("deadbeef") * 100
    yield "text", b"GET / HTTP/1.1\r\nHost: meter\r\n\r\n"
    yield "bare APDU", APDUS[0]
    yield "zeros", bytes(1000)
    yield "wrapper of version 2", b"\x00\x02" + wrap(1, 64, APDUS[0])[2:]
    yield "wrapper of no octets", bytes.fromhex("0001000100400000")
    yield "HDLC without LLC", Frame(CLIENT, METER, Kind.UI, information=APDUS[0]).encode()
    yield "gateway in pieces", wrap(1, 64, b"\xe6\x00\x83\xff\xff\xff")
    yield "block of huge length", wrap(1, 64, bytes.fromhex("e0800001000084ffffffff00"))


@pytest.mark.parametrize(("octets"), [octets for _, octets in garbage()], ids=[name for name, _ in garbage()])
def test_garbage_ends_in_an_error_of_ours(octets: bytes) -> None:
    for pieces in ([octets], octet_by_octet(octets)):
        with pytest.raises(ProtocolError):
            arrivals(PushReceiver(), *pieces)


def test_what_came_whole_before_the_garbage_is_not_lost() -> None:
    receiver = PushReceiver()
    receiver.feed(in_wrapper(APDUS[0]) + in_wrapper(APDUS[1]) + b"garbage!")
    first, second = receiver.next(), receiver.next()
    assert first is not None
    assert second is not None
    assert (first.apdu, second.apdu) == (APDUS[0], APDUS[1])
    for _ in range(2):
        with pytest.raises(ProtocolError):
            receiver.next()


def test_an_apdu_longer_than_allowed_is_refused_by_its_announcement() -> None:
    with pytest.raises(ProtocolError, match="announces"):
        arrivals(PushReceiver(max_apdu=100), wrap(1, 64, bytes(101))[:8])
    with pytest.raises(ProtocolError, match="more than 100"):
        arrivals(PushReceiver(max_apdu=100), unnumbered(64, METER, bytes(200), 60))
    with pytest.raises(ProtocolError, match="more than 100"):
        arrivals(PushReceiver(max_apdu=100), in_mbus(bytes(200)))


@given(
    st.sampled_from([b"", b"\x00\x01", b"\x7e", b"\x7e\xa0", b"\x68\x06", b"\x0f", b"\xe0"]),
    st.lists(st.binary(max_size=60)),
)
def test_any_octets_end_in_arrivals_or_an_error_of_ours(begin: bytes, pieces: list[bytes]) -> None:
    for datagrams in (False, True):
        receiver = PushReceiver(datagrams=datagrams)
        try:
            for arrival in arrivals(receiver, begin, *pieces):
                assert arrival.apdu
                receiver.send(arrival.route, CONFIRM)
            receiver.idle()
        except HeadEndError:
            continue


def test_an_endless_sender_of_flags_or_of_frames_that_are_no_pushes_does_not_make_it_grow() -> None:
    for piece in (b"\x7e" * 60_000, Frame(CLIENT, METER, Kind.RR, True).encode() * 1000):
        receiver = PushReceiver()
        arrivals(receiver, piece)
        tracemalloc.start()
        for _ in range(10):
            assert arrivals(receiver, piece) == []
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert grown < 10_000
        assert receiver.outgoing() == []


def test_a_gateway_header_inside_another_is_no_push() -> None:
    inner = GatewayResponse(3, b"12345", APDUS[0]).encode()
    (arrival,) = arrivals(PushReceiver(), through_gateway(inner))
    assert arrival.apdu == inner
    assert replace(arrival, apdu=APDUS[0]).route.gateway == (0xE7, 3, b"12345")
    assert isinstance(apdu.decode(inner), GatewayResponse)
