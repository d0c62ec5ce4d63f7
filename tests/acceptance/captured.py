"""What two parties say to each other, in every form in which it may be caught."""

from __future__ import annotations

from packets import conversation, ethernet, pcap

from drivers.dlms.wrapper import wrap
from drivers.hdlc.addresses import HdlcAddress
from drivers.hdlc.frames import FLAG, Frame, Kind
from drivers.links.secrets import secret_places

Said = list[tuple[bool, bytes]]
"""APDUs in their order, each with whether the client said it."""


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
