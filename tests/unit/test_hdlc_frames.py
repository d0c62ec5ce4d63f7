"""HDLC frames: every form, both ways, one octet at a time, and among garbage."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.hdlc.addresses import HdlcAddress, server_address
from drivers.hdlc.frames import Frame, Kind, check, decode_frame
from drivers.hdlc.parameters import Parameters, decode_parameters
from drivers.hdlc.reader import FrameReader
from profiles.errors import ProtocolError

CLIENT, SERVER = HdlcAddress(16), HdlcAddress(1, 17, 4)

# The worked example of the DLMS User Association (G. Kmethy, "Examples for DLMS/COSEM information exchange").
SNRM = bytes.fromhex("7EA00A00020023219318717E")
UA = bytes.fromhex("7EA023210002002373F6C58180140502008006020080070400000001080400000001CE6A7E")
AARQ = bytes.fromhex("7EA02E0002002321107ECBE6E600601DA109060760857405080101BE10040E01000000065F1F040000301DFFFFD4C57E")

EVERY_FORM = [
    Frame(SERVER, CLIENT, Kind.SNRM, True),
    Frame(SERVER, CLIENT, Kind.SNRM, True, information=Parameters(512, 1024, 7, 3).encode()),
    Frame(CLIENT, SERVER, Kind.UA, True, information=b"\x81\x80\x00"),
    Frame(SERVER, CLIENT, Kind.DISC, True),
    Frame(CLIENT, SERVER, Kind.DM, True),
    Frame(CLIENT, SERVER, Kind.FRMR, True, information=b"\x10\x20\x04"),
    Frame(SERVER, CLIENT, Kind.I, False, 7, 0, b"\xe6\xe6\x00", True),
    Frame(SERVER, CLIENT, Kind.I, True, 0, 7, b"\x7e" * 40),
    Frame(CLIENT, HdlcAddress(1), Kind.RR, True, 0, 5),
    Frame(CLIENT, HdlcAddress(1, 2, 2), Kind.RNR, False, 0, 6),
    Frame(CLIENT, SERVER, Kind.REJ, True, 0, 1),
    Frame(CLIENT, SERVER, Kind.UI, False, information=b"\xe6\xe7\x00\x0f"),
]

addresses = st.one_of(
    st.builds(HdlcAddress, st.integers(0, 127)),
    st.builds(HdlcAddress, st.integers(0, 127), st.integers(0, 127), st.just(2)),
    st.builds(HdlcAddress, st.integers(0, 16383), st.integers(0, 16383), st.just(4)),
)
information_frames = st.builds(
    Frame,
    addresses,
    addresses,
    st.just(Kind.I),
    st.booleans(),
    st.integers(0, 7),
    st.integers(0, 7),
    st.binary(max_size=200),
    st.booleans(),
)


def read_all(reader: FrameReader) -> Iterator[Frame]:
    while (frame := reader.next()) is not None:
        yield frame


def read(octets: bytes) -> list[Frame]:
    reader = FrameReader()
    reader.feed(octets)
    return list(read_all(reader))


# --- the standard's examples ----------------------------------------------------------------------------------


def test_the_check_is_crc_16_x_25() -> None:
    assert check(b"123456789") == bytes.fromhex("6E90")


def test_the_example_snrm_goes_from_client_16_to_device_17_behind_logical_device_1() -> None:
    frame = Frame(server_address(1, 17, 4), CLIENT, Kind.SNRM, True)
    assert frame.encode() == SNRM
    assert read(SNRM) == [frame]


def test_the_example_ua_carries_the_default_parameters() -> None:
    (frame,) = read(UA)
    assert (frame.kind, frame.final, frame.source) == (Kind.UA, True, SERVER)
    assert decode_parameters(frame.information) == Parameters()
    assert frame.encode() == UA


def test_the_example_aarq_is_an_information_frame_with_an_llc_header() -> None:
    (frame,) = read(AARQ)
    assert (frame.kind, frame.final, frame.send, frame.receive, frame.segmented) == (Kind.I, True, 0, 0, False)
    assert frame.information.startswith(bytes.fromhex("E6E600601D"))
    assert frame.encode() == AARQ


# --- forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", EVERY_FORM, ids=lambda frame: f"{frame.kind.name}-{len(frame.information)}")
def test_every_form_is_read_as_it_was_written(frame: Frame) -> None:
    assert read(frame.encode()) == [frame]


@pytest.mark.parametrize(
    ("frame", "control"),
    [
        (Frame(SERVER, CLIENT, Kind.I, True, 3, 5, b"x"), 0xB6),
        (Frame(SERVER, CLIENT, Kind.RR, True, 0, 2), 0x51),
        (Frame(SERVER, CLIENT, Kind.RNR, False, 0, 2), 0x45),
        (Frame(SERVER, CLIENT, Kind.REJ, True, 0, 7), 0xF9),
        (Frame(SERVER, CLIENT, Kind.SNRM, True), 0x93),
        (Frame(SERVER, CLIENT, Kind.DISC, True), 0x53),
        (Frame(SERVER, CLIENT, Kind.UA, True), 0x73),
        (Frame(SERVER, CLIENT, Kind.DM, True), 0x1F),
        (Frame(SERVER, CLIENT, Kind.FRMR, True), 0x97),
        (Frame(SERVER, CLIENT, Kind.UI), 0x03),
    ],
    ids=lambda value: value.kind.name if isinstance(value, Frame) else f"{value:02X}",
)
def test_control_octets_are_the_standards(frame: Frame, control: int) -> None:
    assert frame.control == control


def test_frames_that_share_a_flag_are_frames() -> None:
    octets = b"\x7e".join(frame.encode()[1:-1] for frame in EVERY_FORM)
    assert read(b"\x7e" + octets + b"\x7e") == EVERY_FORM


@settings(deadline=None)
@given(st.lists(information_frames, max_size=5), st.integers(1, 50))
def test_frames_are_the_same_however_the_link_cuts_them(frames: list[Frame], size: int) -> None:
    octets = b"".join(frame.encode() for frame in frames)
    reader, found = FrameReader(), []
    for at in range(0, len(octets), size):
        reader.feed(octets[at : at + size])
        found += read_all(reader)
    assert found == frames
    assert reader.passed_over == 0


def test_a_frame_is_there_with_its_last_octet_and_not_before() -> None:
    for frame in EVERY_FORM:
        reader = FrameReader()
        for octet in frame.encode()[:-1]:
            reader.feed(bytes([octet]))
            assert reader.next() is None
        reader.feed(b"\x7e")
        assert reader.next() == frame


def test_a_frame_whose_check_ends_in_a_flag_is_read() -> None:
    ending = [
        frame
        for number in range(2000)
        if (frame := Frame(CLIENT, SERVER, Kind.I, True, 0, 0, number.to_bytes(2, "big"))).encode()[-2] == 0x7E
    ]
    assert len(ending) > 2
    for frame in ending:
        assert read(frame.encode() + EVERY_FORM[0].encode()) == [frame, EVERY_FORM[0]]
        reader = FrameReader()
        reader.feed(frame.encode()[:-1])
        assert reader.next() is None, "the flag in the check was taken for the end"


# --- what is no frame -----------------------------------------------------------------------------------------


def test_a_frame_that_lost_an_octet_of_its_check_costs_only_itself() -> None:
    for frame in EVERY_FORM:
        short = frame.encode()[:-2] + b"\x7e"
        assert read(short + UA) == read(UA)


@settings(deadline=None)
@given(st.binary(max_size=60), information_frames, st.binary(max_size=60))
def test_a_frame_among_garbage_is_found(before: bytes, frame: Frame, after: bytes) -> None:
    reader = FrameReader()
    reader.feed(before + b"\x00" + frame.encode() + after + b"\x7e" * 3000)
    assert frame in list(read_all(reader))


@settings(deadline=None)
@given(information_frames, st.data())
def test_no_altered_octet_goes_unseen(frame: Frame, data: st.DataObject) -> None:
    octets = bytearray(frame.encode()[1:-1])
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError):
        decode_frame(bytes(octets))


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_any_octets_are_a_frame_or_a_protocol_error(octets: bytes) -> None:
    try:
        frame = decode_frame(octets)
    except ProtocolError:
        return
    assert len(frame.encode()) == len(octets) + 2


def test_a_length_that_garbage_announces_is_not_waited_for() -> None:
    reader = FrameReader()
    reader.feed(bytes.fromhex("7EA7FF0002002321101234"))
    assert reader.next() is None
    reader.feed(SNRM)
    frame = reader.next()
    assert frame is not None
    assert frame.kind is Kind.SNRM
    assert reader.passed_over == 11


def test_a_flood_of_octets_is_searched_in_bounded_memory() -> None:
    noise = random.Random(1)
    reader = FrameReader()
    for _ in range(100):
        reader.feed(noise.randbytes(5000) + b"\x7e\xa7\xff" * 500)
        assert list(read_all(reader)) == []
        assert len(reader._buffer) < 2100


def test_an_unknown_control_octet_is_told() -> None:
    body = bytes([0xA0, 7, 3, 33, 0x9B])
    (frame,) = read(b"\x7e" + body + check(body) + b"\x7e")
    assert (frame.kind, frame.control) == (Kind.UNKNOWN, 0x9B)


def test_an_address_of_three_octets_is_refused() -> None:
    body = bytes([0xA0, 9, 2, 2, 3, 33, 0x93])
    with pytest.raises(ProtocolError, match="3 octets"):
        decode_frame(body + check(body))


def test_a_frame_longer_than_eleven_bits_can_tell_is_not_made() -> None:
    with pytest.raises(ProtocolError, match="too long"):
        Frame(CLIENT, SERVER, Kind.I, information=bytes(2040)).encode()


# --- addresses and parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logical", "physical", "octets", "encoded"),
    [
        (1, None, None, "03"),
        (1, 17, None, "0223"),
        (1, 17, 4, "00020023"),
        (1, 200, None, "0002 0291"),
        (0x3FFF, 0x3FFF, None, "FEFEFEFF"),
    ],
)
def test_an_address_takes_the_octets_it_needs_or_is_told(
    logical: int, physical: int | None, octets: int | None, encoded: str
) -> None:
    address = server_address(logical, physical, octets)
    assert address.encode() == bytes.fromhex(encoded)
    assert HdlcAddress.decode(bytes.fromhex(encoded)) == address


@pytest.mark.parametrize(
    ("logical", "physical", "octets"),
    [(1, None, 4), (1, None, 2), (200, None, None), (1, 17, 1), (1, 200, 2), (0x4000, 1, 4), (-1, None, 1), (1, 1, 3)],
)
def test_an_address_that_cannot_be_is_refused(logical: int, physical: int | None, octets: int | None) -> None:
    with pytest.raises(ProtocolError):
        server_address(logical, physical, octets)


def test_an_address_for_all_or_for_no_particular_device_reaches_any() -> None:
    assert HdlcAddress(1, 0x3FFF, 4).reaches(HdlcAddress(1, 17, 2))
    assert HdlcAddress(1, 0x7F, 2).reaches(HdlcAddress(1, 17, 2))
    assert HdlcAddress(1).reaches(HdlcAddress(1, 17, 2))
    assert not HdlcAddress(2).reaches(HdlcAddress(1, 17, 2))
    assert not HdlcAddress(1, 18, 2).reaches(HdlcAddress(1, 17, 2))


parameters = st.builds(Parameters, st.integers(1, 2030), st.integers(1, 2030), st.integers(1, 7), st.integers(1, 7))


@settings(deadline=None)
@given(parameters, parameters)
def test_both_ends_agree_on_the_same(ours: Parameters, theirs: Parameters) -> None:
    agreed, mirrored = ours.agreed(theirs), theirs.agreed(ours)
    assert agreed.information_transmit == mirrored.information_receive
    assert agreed.window_receive == mirrored.window_transmit
    assert decode_parameters(ours.encode()) == ours


@pytest.mark.parametrize(
    ("information", "agreed"),
    [
        ("8180 06 050180 060180", Parameters(128, 128, 1, 1)),
        ("8180 12 050180 060180 070400000007 080400000007", Parameters(128, 128, 7, 7)),
        ("8180 0C 05020200 06020100 09020005", Parameters(512, 256, 1, 1)),
        ("8180 09 0504FFFFFFFF 070109", Parameters(2030, 128, 7)),
        ("8180 03 050100", Parameters(1)),
    ],
)
def test_parameters_of_any_length_and_number_are_read(information: str, agreed: Parameters) -> None:
    assert decode_parameters(bytes.fromhex(information)) == agreed


@pytest.mark.parametrize("information", ["8180", "818001", "828000", "81800205", "8180020501", "8180 03 050201", "00"])
def test_malformed_parameters_are_refused(information: str) -> None:
    with pytest.raises(ProtocolError):
        decode_parameters(bytes.fromhex(information))
