"""The TCP wrapper: frames out of a stream, however it was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms.wrapper import Frame, Unwrapper, wrap
from profiles.errors import ProtocolError

FRAME = bytes.fromhex("0001 0010 0001 0003 c0ffee")


def frames(unwrapper: Unwrapper) -> list[Frame]:
    found = []
    while (frame := unwrapper.next()) is not None:
        found.append(frame)
    return found


def test_a_frame_is_version_source_destination_and_length_of_the_apdu() -> None:
    assert wrap(16, 1, b"\xc0\xff\xee") == FRAME


def test_a_frame_fed_one_octet_at_a_time_comes_out_whole_with_its_last_octet() -> None:
    unwrapper = Unwrapper()
    for octet in FRAME[:-1]:
        unwrapper.feed(bytes([octet]))
        assert unwrapper.next() is None
    unwrapper.feed(FRAME[-1:])
    assert unwrapper.next() == Frame(16, 1, b"\xc0\xff\xee")
    assert unwrapper.next() is None


def test_two_frames_and_a_half_received_at_once_are_two_frames_and_the_half_waits() -> None:
    unwrapper = Unwrapper()
    unwrapper.feed(FRAME + wrap(1, 16, b"\xd8\x01\x02") + FRAME[:5])
    assert frames(unwrapper) == [Frame(16, 1, b"\xc0\xff\xee"), Frame(1, 16, b"\xd8\x01\x02")]
    unwrapper.feed(FRAME[5:])
    assert frames(unwrapper) == [Frame(16, 1, b"\xc0\xff\xee")]


@pytest.mark.parametrize("beginning", ["01", "0002", "0101", "7ea0", "16030100000000ff"])
def test_another_version_is_refused_as_soon_as_it_shows(beginning: str) -> None:
    unwrapper = Unwrapper()
    unwrapper.feed(bytes.fromhex(beginning))
    with pytest.raises(ProtocolError, match="not a wrapper frame"):
        unwrapper.next()


def test_a_stream_that_lost_its_place_stays_refused() -> None:
    unwrapper = Unwrapper()
    unwrapper.feed(b"\x7e")
    for more in (b"", FRAME):
        unwrapper.feed(more)
        with pytest.raises(ProtocolError):
            unwrapper.next()


@pytest.mark.parametrize("size", [0, 1025, 0xFFFF])
def test_a_length_of_nothing_or_above_the_bound_is_refused_from_the_header_alone(size: int) -> None:
    unwrapper = Unwrapper(max_apdu=1024)
    unwrapper.feed(b"\x00\x01\x00\x01\x00\x10" + size.to_bytes(2, "big"))
    with pytest.raises(ProtocolError, match="1 to 1024 allowed"):
        unwrapper.next()


@pytest.mark.parametrize("apdu", [b"", bytes(65536)])
def test_an_apdu_that_the_length_cannot_hold_is_not_wrapped(apdu: bytes) -> None:
    with pytest.raises(ProtocolError, match="does not fit"):
        wrap(16, 1, apdu)


@given(
    sent=st.lists(
        st.builds(Frame, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(min_size=1, max_size=300)),
        max_size=6,
    ),
    cuts=st.lists(st.integers(1, 200), min_size=1),
)
def test_any_frames_cut_anywhere_come_out_as_they_went_in(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(wrap(frame.source, frame.destination, frame.apdu) for frame in sent)
    unwrapper = Unwrapper()
    received: list[Frame] = []
    offset = turn = 0
    while offset < len(stream):
        cut = cuts[turn % len(cuts)]
        unwrapper.feed(stream[offset : offset + cut])
        received += frames(unwrapper)
        offset, turn = offset + cut, turn + 1
    assert received == sent


@given(st.binary(max_size=64))
def test_garbage_is_refused_or_waited_for_and_nothing_else(garbage: bytes) -> None:
    unwrapper = Unwrapper()
    unwrapper.feed(garbage)
    try:
        found = frames(unwrapper)
    except ProtocolError:
        return
    assert garbage.startswith(b"".join(wrap(frame.source, frame.destination, frame.apdu) for frame in found))
