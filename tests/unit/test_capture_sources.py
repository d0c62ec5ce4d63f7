"""Where octets of a capture come from: hex as people write it, transcripts, pcap and pcapng files, TCP in any order."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packets import CLIENT, CLIENT_6, METER, METER_6, conversation, ethernet, ip, pcap, pcapng, tcp, udp

from drivers.capture.network import streams_of_packets
from drivers.capture.pcap import Packet, is_pcap, read_packets
from drivers.capture.streams import Stream
from drivers.capture.text import (
    is_transcript,
    lines_of_hex,
    octets_of_hex,
    streams_of_transcript,
    text_of,
)
from profiles.errors import ProtocolError

# --- hex ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "0f40AbcD",
        "0F 40 AB CD",
        "0f:40:ab:cd",
        "0x0F, 0x40, 0xAB, 0xCD",
        "0x0f40abcd",
        "0X0f,0X40\n0xab\r\n0Xcd\n",
        "  0f40\n\tabcd  ",
        "0 f 4 0 a b c d",
    ],
)
def test_hex_is_read_however_it_is_written(text: str) -> None:
    assert octets_of_hex(text) == bytes.fromhex("0f40abcd")


@pytest.mark.parametrize(
    ("text", "octet"), [("0f40zz", 2), ("hello", 0), ("0f4", 1), ("0f 40 abc", 3), ("0f-40", 1), ("0f40 x", 2)]
)
def test_what_is_no_hex_is_said_with_the_octet(text: str, octet: int) -> None:
    with pytest.raises(ProtocolError, match=f"^not DLMS: understanding stopped at octet {octet}: ") as error:
        octets_of_hex(text)
    assert error.value.octet == octet


def test_lines_of_hex_are_kept_apart_and_empty_ones_left_out() -> None:
    assert lines_of_hex("0f 40\n\n0xab\n") == [b"\x0f\x40", b"\xab"]


def test_octets_are_text_only_where_all_of_them_are() -> None:
    assert text_of(b"0f40\r\n") == "0f40\r\n"
    assert text_of(b"\xef\xbb\xbf0f40") == "0f40"
    assert text_of(b"\x0f\x40") is text_of(b"") is text_of(b"0f40\x00") is None


# --- transcripts ----------------------------------------------------------------------------------------------

TRANSCRIPT = """# tcp://127.0.0.1:4059 client 16 server 1
2026-01-31T06:15:00.123456Z > 60 ** 02
2026-01-31T06:15:00.187001Z < 61 29
2026-01-31T06:15:00.200000Z > 62 00
# another
2026-01-31T06:16:00.000000Z < 0f
"""


def test_a_transcript_gives_two_streams_a_connection_with_what_it_hides() -> None:
    assert is_transcript(TRANSCRIPT)
    sent, received, other = streams_of_transcript(TRANSCRIPT)
    assert (sent.octets, sent.hidden) == (bytes.fromhex("6000026200"), {1})
    assert sent.name == "sent · tcp://127.0.0.1:4059 client 16 server 1"
    assert [piece.order for piece in sent.pieces] == [0, 2]
    assert sent.piece_at(3).time == datetime(2026, 1, 31, 6, 15, 0, 200_000, UTC)
    assert (received.octets, received.group) == (b"\x61\x29", sent.group)
    assert (other.octets, other.name) == (b"\x0f", "received · another")
    assert other.group != sent.group


def test_hex_is_no_transcript_and_a_broken_transcript_is_said_with_its_line() -> None:
    assert not is_transcript("0f40 abcd")
    with pytest.raises(ProtocolError, match=r"not DLMS: .* line 2 of the transcript"):
        streams_of_transcript("# x\n2026-01-31T06:15:00Z > 6")


# --- packets --------------------------------------------------------------------------------------------------

DATA = bytes(range(200)) * 3


def octets_of(streams: list[Stream]) -> list[bytes]:
    return [stream.octets for stream in streams]


def streams_from(file: bytes) -> list[Stream]:
    assert is_pcap(file)
    packets = read_packets(file)
    assert packets.stop is None
    return streams_of_packets(packets.packets)


SAID = [(True, b"first"), (False, DATA), (True, b"second")]
ON_LINKS = {
    "Ethernet": (1, ethernet),
    "VLAN": (1, lambda packet: ethernet(packet, vlan=True)),
    "raw IP": (101, lambda packet: packet),
    "raw IP of BSD": (12, lambda packet: packet),
    "loopback": (0, lambda packet: b"\x02\x00\x00\x00" + packet),
    "OpenBSD loopback": (108, lambda packet: b"\x00\x00\x00\x02" + packet),
    "Linux cooked": (113, lambda packet: bytes(14) + ethernet(packet)[12:14] + packet),
    "Linux cooked 2": (276, lambda packet: ethernet(packet)[12:14] + bytes(18) + packet),
}


@pytest.mark.parametrize("link", ON_LINKS)
@pytest.mark.parametrize("ends", [(CLIENT, METER), (CLIENT_6, METER_6)], ids=["IPv4", "IPv6"])
def test_a_connection_is_found_on_every_kind_of_link(link: str, ends: tuple[tuple[str, int], tuple[str, int]]) -> None:
    link_type, on_link = ON_LINKS[link]
    file = pcap(map(on_link, conversation(SAID, *ends)), link_type)
    sent, received = streams_from(file)
    assert (sent.octets, received.octets) == (b"firstsecond", DATA)
    assert sent.group == received.group
    client, meter = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in ends)
    assert (sent.name, received.name) == (f"tcp {client} > {meter}", f"tcp {meter} > {client}")


@pytest.mark.parametrize(
    "file",
    [
        pcap(map(ethernet, conversation(SAID))),
        pcap(map(ethernet, conversation(SAID)), order=">"),
        pcap(map(ethernet, conversation(SAID)), nanoseconds=True),
        pcapng(map(ethernet, conversation(SAID))),
        pcapng(map(ethernet, conversation(SAID)), order=">"),
    ],
    ids=["pcap", "big-endian", "nanoseconds", "pcapng", "big-endian pcapng"],
)
def test_every_form_of_file_gives_the_same_octets_and_times(file: bytes) -> None:
    sent, received = streams_from(file)
    assert (sent.octets, received.octets) == (b"firstsecond", DATA)
    time = received.pieces[0].time
    assert time is not None
    assert time.replace(microsecond=0) == datetime(2026, 1, 31, 6, 15, 3, tzinfo=UTC)
    assert time.microsecond in (0, 500)


def test_simple_packets_have_no_time() -> None:
    sent, _ = streams_from(pcapng(map(ethernet, conversation(SAID)), simple=True))
    assert sent.octets == b"firstsecond"
    assert sent.pieces[0].time is None


def test_a_file_that_is_cut_off_gives_what_is_whole_and_says_where_it_ends() -> None:
    for make in (pcap, pcapng):
        file = make(map(ethernet, conversation(SAID)))
        counts = set()
        for size in range(24, len(file)):
            packets = read_packets(file[:size])
            counts.add(len(packets.packets))
            if packets.stop is not None:
                assert packets.stop[0] <= size
                assert "ends inside" in packets.stop[1]
        assert counts == {0, 1, 2, 3, 4}


def test_segments_in_any_order_repeated_and_overlapping_come_together() -> None:
    segments = [tcp(METER, CLIENT, 0xFFFF_FFF0 + at, DATA[at : at + 50]) for at in range(0, len(DATA), 30)]
    opening = tcp(METER, CLIENT, 0xFFFF_FFEF, b"", 0x12)
    for seed in range(20):
        shuffled = segments + segments[:5]
        random.Random(seed).shuffle(shuffled)
        file = pcap([ethernet(ip(METER, CLIENT, payload)) for payload in [opening, *shuffled]])
        assert octets_of(streams_from(file)) == [DATA]


def test_each_octet_counts_from_when_the_gap_before_it_was_filled() -> None:
    late = [tcp(METER, CLIENT, 100, b"ab"), tcp(METER, CLIENT, 104, b"ef"), tcp(METER, CLIENT, 102, b"cd")]
    packets = [Packet(101, ip(METER, CLIENT, payload)) for payload in late]
    (stream,) = streams_of_packets(packets)
    assert [stream.piece_at(octet).order for octet in range(6)] == [0, 0, 2, 2, 2, 2]


def test_what_is_missing_ends_a_stream_and_begins_another_of_the_same_conversation() -> None:
    payloads = [tcp(METER, CLIENT, 100, b"before"), tcp(METER, CLIENT, 200, b"after"), tcp(METER, CLIENT, 300, b"last")]
    streams = streams_of_packets([Packet(101, ip(METER, CLIENT, payload)) for payload in payloads])
    assert octets_of(streams) == [b"before", b"after", b"last"]
    assert len({stream.group for stream in streams}) == 1


def test_the_same_ports_again_are_another_conversation() -> None:
    twice = conversation([(True, b"one")]) + conversation([(True, b"two")])
    first, second = streams_of_packets([Packet(101, packet) for packet in twice])
    assert (first.octets, second.octets) == (b"one", b"two")
    assert first.group != second.group


def test_every_datagram_is_a_stream_and_both_directions_one_conversation() -> None:
    packets = [ip(CLIENT, METER, udp(CLIENT, METER, b"asks")), ip(METER, CLIENT, udp(METER, CLIENT, b"answers"))]
    asks, answers = streams_from(pcap(map(ethernet, packets)))
    assert (asks.octets, answers.octets, asks.group) == (b"asks", b"answers", answers.group)


def test_fragments_are_put_together_in_any_order() -> None:
    protocol, whole = udp(METER, CLIENT, DATA)
    pieces = [(at, whole[at : at + 160]) for at in range(0, len(whole), 160)]
    last = pieces[-1][0]
    v4 = [
        ip(METER, CLIENT, (protocol, piece), fragment=at // 8 | (0x2000 if at != last else 0)) for at, piece in pieces
    ]
    v6 = [
        ip(METER_6, CLIENT_6, (44, bytes([protocol, 0]) + (at | (at != last)).to_bytes(2, "big") + b"same" + piece))
        for at, piece in pieces
    ]
    for packets in (v4, v4[::-1], v6, v6[::-1]):
        assert octets_of(streams_of_packets([Packet(101, packet) for packet in packets])) == [DATA]
        assert streams_of_packets([Packet(101, packet) for packet in packets[1:]]) == []


def test_other_traffic_is_passed_over() -> None:
    arp = ethernet(bytes(28))
    ping = ethernet(ip(CLIENT, METER, (1, bytes(40))))
    short = ethernet(ip(CLIENT, METER, (6, b"\x01\x02")))
    (stream,) = streams_from(pcap([arp, b"", ping, short, ethernet(ip(CLIENT, METER, udp(CLIENT, METER, b"x")))]))
    assert stream.octets == b"x"
    assert streams_of_packets([Packet(147, bytes(100))]) == []


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([pcap([]), pcapng([]), pcap([ethernet(packet) for packet in conversation(SAID)])]), st.binary())
def test_any_octets_behind_a_header_are_read_to_their_end_or_where_they_stop(header: bytes, rest: bytes) -> None:
    packets = read_packets(header + rest)
    streams_of_packets(packets.packets)
    assert packets.stop is None or packets.stop[0] <= len(header + rest)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 101, 113, 276]), st.binary(max_size=120))))
def test_any_packets_are_streams_or_nothing(packets: list[tuple[int, bytes]]) -> None:
    streams_of_packets([Packet(kind, octets) for kind, octets in packets])
