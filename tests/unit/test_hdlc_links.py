"""Both ends of an HDLC link over a line that loses, repeats and swaps frames, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.hdlc.addresses import HdlcAddress, server_address
from drivers.hdlc.client import HdlcClient, Procedure, Read, T, Write
from drivers.hdlc.frames import Frame, Kind
from drivers.hdlc.parameters import Parameters
from drivers.hdlc.reader import FrameReader
from drivers.hdlc.server import HdlcServer, unnumbered
from profiles.errors import LinkError, LinkTimeout, MeterBusy, ProtocolError

CLIENT, SERVER = HdlcAddress(16), server_address(1, 17, 4)
SMALL = Parameters(20, 20, 1, 1)
WIDE = Parameters(20, 20, 7, 7)
TIMEOUT_S = 10.0
Spoil = Callable[[list[Frame]], list[Frame]]


class Echo:
    """A device that answers what it is sent, with its SAPs before it."""

    def __init__(self, answer: Callable[[bytes], bytes | None] = lambda apdu: apdu) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.closed = 0

    def handle(self, received: bytes, client_sap: int, server_sap: int) -> bytes | None:
        assert (client_sap, server_sap) == (16, 1)
        self.asked.append(received)
        return self.answer(received)

    def close(self) -> None:
        self.closed += 1


def frames_of(octets: bytes) -> list[Frame]:
    reader, found = FrameReader(), []
    reader.feed(octets)
    while (frame := reader.next()) is not None:
        found.append(frame)
    return found


class Line:
    """Runs a client's procedures against what answers frames, and keeps what went over the line."""

    def __init__(self, answer: Callable[[bytes], bytes | None], spoil: Spoil = list, cut: int = 10_000) -> None:
        self.now = 0.0
        self.sent: list[Frame] = []
        self.heard: list[Frame] = []
        self.pieces: list[bytes] = []
        self._answer = answer
        self._spoil = spoil
        self._cut = cut

    def clock(self) -> float:
        return self.now

    def run(self, procedure: Procedure[T]) -> T:
        try:
            step = next(procedure)
            while True:
                step = procedure.send(self._do(step))
        except StopIteration as done:
            result: T = done.value
            return result

    def _do(self, step: Write | Read) -> bytes | None:
        if isinstance(step, Write):
            self.sent += frames_of(step.octets)
            arrived = self._spoil(frames_of(step.octets))
            answer = self._answer(b"".join(frame.encode() for frame in arrived)) if arrived else b""
            if answer is None:
                raise LinkError("the meter hung up")
            self.heard += frames_of(answer)
            octets = b"".join(frame.encode() for frame in self._spoil(frames_of(answer)))
            self.pieces += [octets[at : at + self._cut] for at in range(0, len(octets), self._cut)]
            return None
        if self.pieces:
            return self.pieces.pop(0)
        self.now += step.seconds
        return b""


def ends(
    device: Echo,
    parameters: Parameters = SMALL,
    spoil: Spoil = list,
    cut: int = 10_000,
    theirs: Parameters | None = None,
) -> tuple[HdlcClient, Line]:
    server = HdlcServer(device, physical=17, offered=theirs or parameters)
    line = Line(server.receive, spoil, cut)
    client = HdlcClient(16, SERVER, clock=line.clock, offered=parameters, timeout_s=TIMEOUT_S)
    return client, line


def exchange(client: HdlcClient, line: Line, apdu: bytes) -> bytes:
    line.run(client.send(apdu))
    return line.run(client.receive())


def connected(device: Echo, parameters: Parameters = SMALL, **options: object) -> tuple[HdlcClient, Line]:
    client, line = ends(device, parameters, **options)  # type: ignore[arg-type]
    line.run(client.connect())
    return client, line


# --- a good line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [Parameters(), SMALL, WIDE, Parameters(2030, 2030, 7, 7)])
@pytest.mark.parametrize("size", [1, 17, 18, 128, 400, 2000])
@pytest.mark.parametrize("cut", [1, 10_000])
def test_apdus_of_any_size_come_through_whole(parameters: Parameters, size: int, cut: int) -> None:
    client, line = connected(Echo(), parameters, cut=cut)
    for number in range(10):
        apdu = bytes([number]) + bytes(size - 1)
        assert exchange(client, line, apdu) == apdu
    assert client.repeated == client.passed_over == 0
    assert line.now == 0


def test_no_segment_is_longer_and_no_window_wider_than_agreed() -> None:
    ours, theirs = Parameters(300, 60, 5, 7), Parameters(40, 1000, 3, 2)
    client, line = connected(Echo(), ours, theirs=theirs)
    assert client.parameters == Parameters(300, 40, 2, 3)
    exchange(client, line, bytes(2000))
    assert max(len(frame.information) for frame in line.sent if frame.kind is Kind.I) == 300
    assert max(len(frame.information) for frame in line.heard if frame.kind is Kind.I) == 40
    assert longest_turn(line.sent) == 2
    assert longest_turn(line.heard) == 3


def longest_turn(frames: list[Frame]) -> int:
    longest = run = 0
    for frame in frames:
        run = run + 1 if frame.kind is Kind.I else 0
        longest = max(longest, run)
        run = 0 if frame.final else run
    return longest


def test_only_the_last_segment_says_that_it_is_the_last() -> None:
    client, line = connected(Echo(), WIDE)
    exchange(client, line, bytes(50))
    segments = [frame for frame in line.sent if frame.kind is Kind.I]
    assert [(frame.send, frame.segmented, frame.final) for frame in segments] == [
        (0, True, False),
        (1, True, False),
        (2, False, True),
    ]
    assert segments[0].information[:3] == b"\xe6\xe6\x00"
    assert next(f for f in line.heard if f.kind is Kind.I).information[:3] == b"\xe6\xe7\x00"


def test_default_parameters_are_not_told() -> None:
    client, line = connected(Echo(), Parameters())
    assert line.sent[0].encode() == bytes.fromhex("7EA00A00020023219318717E")
    assert client.parameters == Parameters()


def test_a_server_tells_its_parameters_even_where_they_are_the_default() -> None:
    # A client that finds none in the UA may take its own for agreed.
    client, line = connected(Echo(), Parameters(1024, 1024, 7, 7), theirs=Parameters())
    assert line.heard[0].information == bytes.fromhex("8180120501800601800704000000010804000000 01")
    assert client.parameters == Parameters()


def test_an_apdu_without_an_answer_leaves_the_turn_usable() -> None:
    client, line = connected(Echo(lambda apdu: b"" if apdu == b"quiet" else apdu))
    line.run(client.send(b"quiet"))
    assert exchange(client, line, b"loud") == b"loud"


def test_an_apdu_that_nobody_answers_ends_in_a_timeout_after_polls_with_pauses() -> None:
    client, line = connected(Echo(lambda _: b""))
    line.run(client.send(b"quiet"))
    with pytest.raises(LinkTimeout, match="no answer for 10 s"):
        line.run(client.receive())
    assert line.now == pytest.approx(TIMEOUT_S, rel=0.1)
    assert 40 < len(line.sent) < 60


def test_disconnecting_tells_the_device_and_a_second_connection_starts_anew() -> None:
    device = Echo()
    client, line = connected(device)
    exchange(client, line, b"one")
    line.run(client.disconnect())
    assert (device.closed, line.sent[-1].kind, line.heard[-1].kind) == (1, Kind.DISC, Kind.UA)
    with pytest.raises(LinkError, match="not connected"):
        line.run(client.send(b"two"))
    line.run(client.connect())
    assert exchange(client, line, b"three") == b"three"


def test_a_second_snrm_takes_the_line_over() -> None:
    device = Echo()
    client, line = connected(device)
    exchange(client, line, b"one")
    line.run(client.connect())
    assert device.closed == 1
    assert exchange(client, line, b"two") == b"two"


def test_a_device_that_hangs_up_ends_the_link() -> None:
    client, line = connected(Echo(lambda _: None))
    with pytest.raises(LinkError, match="hung up"):
        exchange(client, line, b"go away")


# --- a bad line -----------------------------------------------------------------------------------------------


def spoiled(seed: int, rate: float, apart: int) -> Spoil:
    """Loses, repeats and swaps neighbouring frames; between two losses so many frames come through."""
    dice = random.Random(seed)
    since_loss = 0

    def spoil(frames: list[Frame]) -> list[Frame]:
        nonlocal since_loss
        out: list[Frame] = []
        for frame in frames:
            since_loss += 1
            chance = dice.random()
            if chance < rate and since_loss > apart:
                since_loss = 0
                continue
            out += [frame, frame] if chance < 2 * rate else [frame]
            if chance > 1 - rate and len(out) > 1:
                out[-1], out[-2] = out[-2], out[-1]
        return out

    return spoil


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from([SMALL, Parameters(20, 20, 3, 2), Parameters(20, 20, 4, 4)]))
def test_lost_repeated_and_swapped_frames_cost_time_but_no_octet(seed: int, parameters: Parameters) -> None:
    device = Echo()
    client, line = connected(device, parameters, spoil=spoiled(seed, 0.1, apart=6))
    apdus = [bytes([number]) + bytes(number * 30) for number in range(1, 6)]
    for apdu in apdus:
        assert exchange(client, line, apdu) == apdu
    assert device.asked == apdus, "an APDU reached the device twice, or in another order"


@pytest.mark.parametrize("seed", range(30))
def test_a_window_of_seven_survives_lost_frames(seed: int) -> None:
    # Numbers modulo 8 can't tell a repeated old frame from a new one in a full window, so here none is repeated.
    spoil = spoiled(seed, 0.3, apart=20)
    device = Echo()
    client, line = connected(device, WIDE, spoil=lambda frames: list(dict.fromkeys(spoil(frames))))
    apdus = [bytes([number]) * 300 for number in range(1, 5)]
    for apdu in apdus:
        assert exchange(client, line, apdu) == apdu
    assert device.asked == apdus


@pytest.mark.parametrize("lost", range(12))
@pytest.mark.parametrize("parameters", [SMALL, WIDE])
def test_any_single_frame_may_be_lost(lost: int, parameters: Parameters) -> None:
    count = 0

    def spoil(frames: list[Frame]) -> list[Frame]:
        nonlocal count
        kept = [frame for index, frame in enumerate(frames) if count + index != lost]
        count += len(frames)
        return kept

    device = Echo()
    client, line = connected(device, parameters, spoil=spoil)
    assert exchange(client, line, bytes(50)) == bytes(50)
    assert device.asked == [bytes(50)]
    assert line.now < TIMEOUT_S


def test_after_silence_the_meter_is_asked_what_it_has_before_anything_is_sent_again() -> None:
    dropped: list[Frame] = []

    def spoil(frames: list[Frame]) -> list[Frame]:
        if not dropped and frames[0].kind is Kind.I:
            dropped.extend(frames)
            return []
        return frames

    client, line = connected(Echo(), spoil=spoil)
    assert exchange(client, line, b"hello") == b"hello"
    assert [frame.kind for frame in line.sent] == [Kind.SNRM, Kind.I, Kind.RR, Kind.I]


def test_a_dead_line_is_given_up_in_time() -> None:
    alive = True
    client, line = connected(Echo(), spoil=lambda frames: frames if alive else [])
    alive = False
    line.run(client.send(b"hello"))
    with pytest.raises(LinkTimeout):
        line.run(client.receive())
    assert line.now == pytest.approx(TIMEOUT_S)
    line.run(client.disconnect())
    assert line.now < TIMEOUT_S + 1.1


def test_a_meter_that_does_not_answer_snrm_is_asked_three_times() -> None:
    client, line = ends(Echo(), spoil=lambda _: [])
    with pytest.raises(LinkTimeout, match="no answer to SNRM"):
        line.run(client.connect())
    assert [frame.kind for frame in line.sent] == [Kind.SNRM] * 3
    assert line.now == pytest.approx(TIMEOUT_S)


def test_endless_noise_does_not_put_the_deadline_off() -> None:
    line = Line(lambda _: b"")
    client = HdlcClient(16, SERVER, clock=line.clock, timeout_s=TIMEOUT_S)

    def noise(step: Write | Read) -> bytes | None:
        line.now += 0.01
        return None if isinstance(step, Write) else b"\x7e\xa0\x55noise"

    line._do = noise  # type: ignore[method-assign]
    with pytest.raises(LinkTimeout):
        line.run(client.connect())
    assert line.now < TIMEOUT_S + 0.1


# --- what a meter may say -------------------------------------------------------------------------------------


class Script:
    """A meter that says what it is told to, one answer a polled frame."""

    def __init__(self, *answers: list[Frame]) -> None:
        self.answers = [[from_meter(Kind.UA)], *answers]
        self.heard: list[Frame] = []

    def receive(self, octets: bytes) -> bytes:
        frames = frames_of(octets)
        self.heard += frames
        answer = self.answers.pop(0) if self.answers and any(frame.final for frame in frames) else []
        return b"".join(frame.encode() for frame in answer)


def from_meter(kind: Kind, receive: int = 0, send: int = 0, information: bytes = b"", final: bool = True) -> Frame:
    return Frame(CLIENT, SERVER, kind, final, send, receive, information)


def scripted(*answers: list[Frame], offered: Parameters = SMALL) -> tuple[HdlcClient, Line, Script]:
    script = Script(*answers)
    line = Line(script.receive)
    client = HdlcClient(16, SERVER, clock=line.clock, offered=offered, timeout_s=TIMEOUT_S)
    line.run(client.connect())
    return client, line, script


HELLO = b"\xe6\xe7\x00hello"


def test_a_meter_that_needs_time_says_rr_and_is_asked_again() -> None:
    client, line, script = scripted(
        [from_meter(Kind.RR, 1)], [from_meter(Kind.RR, 1)], [from_meter(Kind.I, 1, 0, HELLO)]
    )
    assert exchange(client, line, b"ask") == b"hello"
    assert [frame.kind for frame in script.heard] == [Kind.SNRM, Kind.I, Kind.RR, Kind.RR]
    assert 0 < line.now < 1


def test_a_busy_meter_is_given_nothing_until_it_is_ready() -> None:
    client, line, script = scripted(
        [from_meter(Kind.RNR, 0)],
        [from_meter(Kind.RNR, 0)],
        [from_meter(Kind.RR, 0)],
        [from_meter(Kind.I, 1, 0, HELLO)],
    )
    assert exchange(client, line, b"ask") == b"hello"
    kinds = [frame.kind for frame in script.heard]
    assert kinds[:4] == [Kind.SNRM, Kind.I, Kind.RR, Kind.RR]
    assert kinds[-1] is Kind.I


def test_a_meter_that_stays_busy_is_given_up() -> None:
    client, line, _ = scripted(*[[from_meter(Kind.RNR, 1)]] * 100)
    line.run(client.send(b"ask"))
    with pytest.raises(LinkTimeout, match="busy"):
        line.run(client.receive())


def test_rej_makes_us_send_again_from_where_it_says() -> None:
    client, line, script = scripted([from_meter(Kind.REJ, 0)], [from_meter(Kind.I, 1, 0, HELLO)])
    assert exchange(client, line, b"ask") == b"hello"
    assert [frame.kind for frame in script.heard] == [Kind.SNRM, Kind.I, Kind.I]
    assert line.now == 0


def test_frmr_ends_the_link_with_its_reason() -> None:
    client, line, _ = scripted([from_meter(Kind.FRMR, information=b"\x10\x00\x04")])
    line.run(client.send(b"ask"))
    with pytest.raises(ProtocolError, match="information too long"):
        line.run(client.receive())
    assert not client.connected


def test_dm_in_the_middle_is_a_broken_link() -> None:
    client, line, _ = scripted([from_meter(Kind.DM)])
    line.run(client.send(b"ask"))
    with pytest.raises(LinkError, match="ended"):
        line.run(client.receive())


def test_dm_to_snrm_is_a_busy_meter() -> None:
    line = Line(lambda _: from_meter(Kind.DM).encode())
    client = HdlcClient(16, SERVER, clock=line.clock, timeout_s=TIMEOUT_S)
    with pytest.raises(MeterBusy):
        line.run(client.connect())


def test_a_push_in_the_middle_of_a_request_is_kept_apart() -> None:
    push = frames_of(unnumbered(16, SERVER, b"\x0fpushed" * 20, 50))
    assert len(push) == 3
    client, line, _ = scripted([*push, from_meter(Kind.I, 1, 0, HELLO)])
    assert exchange(client, line, b"ask") == b"hello"
    assert list(client.unnumbered) == [b"\x0fpushed" * 20]


def test_frames_of_other_stations_are_passed_over() -> None:
    other = replace(from_meter(Kind.I, 1, 0, b"\xe6\xe7\x00wrong"), source=server_address(1, 18, 4))
    foreign = replace(from_meter(Kind.I, 1, 0, b"\xe6\xe7\x00wrong"), destination=HdlcAddress(32))
    client, line, _ = scripted([other, foreign, from_meter(Kind.I, 1, 0, HELLO)])
    assert exchange(client, line, b"ask") == b"hello"


def test_an_answer_without_llc_header_is_refused() -> None:
    client, line, _ = scripted([from_meter(Kind.I, 1, 0, b"\xc4\x01\xc1")])
    line.run(client.send(b"ask"))
    with pytest.raises(ProtocolError, match="LLC"):
        line.run(client.receive())


def test_a_meter_that_never_gives_the_turn_back_is_refused() -> None:
    endless = [from_meter(Kind.I, 1, number % 8, HELLO, False) for number in range(100)]
    client, line, _ = scripted(endless)
    line.run(client.send(b"ask"))
    with pytest.raises(ProtocolError, match="turn"):
        line.run(client.receive())


def test_an_answer_of_endless_segments_is_refused() -> None:
    def segment(number: int) -> list[Frame]:
        return [replace(from_meter(Kind.I, 1, number % 8, b"\xe6\xe7\x00" * 600), segmented=True)]

    client, line, _ = scripted(*[segment(number) for number in range(60)])
    line.run(client.send(b"ask"))
    with pytest.raises(ProtocolError, match="65535 octets"):
        line.run(client.receive())


# --- what a client may say ------------------------------------------------------------------------------------


def ask(server: HdlcServer, frame: Frame) -> list[Frame]:
    answer = server.receive(frame.encode())
    assert answer is not None
    return frames_of(answer)


def to_meter(kind: Kind, send: int = 0, receive: int = 0, information: bytes = b"", final: bool = True) -> Frame:
    return Frame(SERVER, CLIENT, kind, final, send, receive, information)


def test_a_disconnected_server_says_dm_to_all_but_snrm() -> None:
    server = HdlcServer(Echo(), physical=17)
    for kind in (Kind.I, Kind.RR, Kind.DISC):
        assert [frame.kind for frame in ask(server, to_meter(kind))] == [Kind.DM]
    assert ask(server, to_meter(Kind.UI)) == []
    assert ask(server, to_meter(Kind.RR, final=False)) == []


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (to_meter(Kind.I, information=bytes(21)), 0b0100),
        (to_meter(Kind.RR, information=b"x"), 0b0011),
        (Frame(SERVER, CLIENT, Kind.UNKNOWN, True, unknown=0x9B), 0b0001),
    ],
    ids=["too-long", "information-in-rr", "unknown"],
)
def test_a_server_rejects_what_it_cannot_bear_until_the_client_starts_anew(frame: Frame, reason: int) -> None:
    server = HdlcServer(Echo(), physical=17, offered=SMALL)
    ask(server, replace(to_meter(Kind.SNRM), information=SMALL.encode()))
    (answer,) = ask(server, frame)
    assert (answer.kind, answer.information) == (Kind.FRMR, bytes([frame.control, 0, reason]))
    assert ask(server, to_meter(Kind.RR))[0].kind is Kind.FRMR
    assert ask(server, to_meter(Kind.SNRM))[0].kind is Kind.UA
    assert ask(server, to_meter(Kind.RR))[0].kind is Kind.RR


def test_a_server_answers_its_own_address_and_all_stations_but_no_other() -> None:
    server = HdlcServer(Echo(), physical=17)
    for address, own in [(server_address(1, 17), 17), (HdlcAddress(1), None), (HdlcAddress(1, 0x3FFF, 4), 17)]:
        (answer,) = ask(server, Frame(address, CLIENT, Kind.SNRM, True))
        assert (answer.kind, answer.source.lower, answer.source.octets) == (Kind.UA, own, address.octets)
    assert ask(server, Frame(server_address(1, 18), CLIENT, Kind.SNRM, True)) == []


def test_another_client_is_told_dm_while_a_link_is_up() -> None:
    server = HdlcServer(Echo())
    ask(server, to_meter(Kind.SNRM))
    (answer,) = ask(server, Frame(SERVER, HdlcAddress(32), Kind.RR, True))
    assert (answer.kind, answer.destination.upper) == (Kind.DM, 32)


def test_a_client_that_says_rnr_is_sent_no_information() -> None:
    server = HdlcServer(Echo(), offered=SMALL)
    ask(server, to_meter(Kind.SNRM))
    ask(server, to_meter(Kind.I, information=b"\xe6\xe6\x00" + bytes(300)))
    assert [frame.kind for frame in ask(server, to_meter(Kind.RNR, receive=0))] == [Kind.FRMR]
    ask(server, to_meter(Kind.SNRM))
    ask(server, to_meter(Kind.I, information=b"\xe6\xe6\x00hello"))
    assert [frame.kind for frame in ask(server, to_meter(Kind.RNR, receive=0))] == [Kind.RR]
    (answer,) = ask(server, to_meter(Kind.RR, receive=0))
    assert (answer.kind, answer.information) == (Kind.I, HELLO)


def test_malformed_parameters_in_snrm_are_answered_dm() -> None:
    (answer,) = ask(HdlcServer(Echo()), replace(to_meter(Kind.SNRM), information=b"\x81\x80\x05"))
    assert answer.kind is Kind.DM


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_a_server_bears_any_octets(octets: bytes) -> None:
    server = HdlcServer(Echo())
    ask(server, to_meter(Kind.SNRM))
    assert server.receive(octets) is not None
    assert ask(server, to_meter(Kind.SNRM))[-1].kind is Kind.UA


# --- secrets --------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 60))
def test_hidden_octets_are_marked_wherever_segments_cut_them(before: int, size: int) -> None:
    secret = b"\xaa" * size
    client, line = connected(Echo(), WIDE)
    shown = b""
    for step in client.send(bytes(before) + secret + bytes(7), ((before, before + size),)):
        if isinstance(step, Write):
            octets = bytearray(step.octets)
            for begin, end in step.hidden:
                octets[begin:end] = b"*" * (end - begin)
            shown += octets
            if step.hidden:
                assert octets[-3:-1] == b"**", "the check of a frame with a secret was left"
        elif line.pieces:
            break
    assert b"\xaa" * 3 not in shown
    assert shown.count(b"*") >= size or client.repeated == 0
