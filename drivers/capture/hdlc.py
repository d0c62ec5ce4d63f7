"""HDLC frames in a capture: several, segmented, repeated, amid noise, with or without their flags.

The one rule: a frame is what its length says and its checks confirm; flags only say where to look. A frame whose check
the capture hides is believed by its header's check.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from drivers.capture.framing import Frame, Framed, Stop, Unit, talkers
from drivers.hdlc import frames as hdlc
from drivers.hdlc.addresses import HdlcAddress
from drivers.hdlc.frames import FLAG, TYPE_3, Kind
from drivers.hdlc.llc import COMMAND, MAX_APDU, RESPONSE
from profiles.errors import ProtocolError

_SHORTEST: Final = 2 + 1 + 1 + 1 + 2
_LONGEST_HEADER: Final = 2 + 4 + 4 + 1
_WITH_APDU: Final = frozenset({Kind.I, Kind.UI})


def find_hdlc(octets: bytes, hidden: frozenset[int]) -> Framed:
    """Every sound frame, and the APDUs in them."""
    found = Framed("HDLC")
    assemblies: dict[tuple[str, str], _Assembly] = {}
    no_header: Stop | None = None
    at = end = 0
    while (start := _next_start(octets, at)) is not None:
        if not (found.understood or found.stops or no_header):
            found.begins = start
        size = _announced(octets, start)
        if size is None:
            if not found.stops:
                no_header = no_header or Stop(_header_end(octets, start), "no sound header of an HDLC frame")
            at = start + 1
            continue
        if start + size > len(octets):
            announces = f"an HDLC frame of {size} octets ends after {len(octets) - start}"
            found.stops.append(Stop(len(octets), announces))
            break
        body = octets[start : start + size]
        if hidden and not hidden.isdisjoint(range(start, start + size)):
            body = body[:-2] + hdlc.check(body[:-2])
        try:
            frame = hdlc.decode_frame(body)
        except ProtocolError as error:
            found.stops.append(Stop(start + size - 2, error.message))
            at = start + 1
            continue
        found.passed_over += start - end - octets[end:start].count(FLAG)
        found.understood += size
        at = end = start + size
        _take(found, assemblies, frame, start, size)
    if not found.understood:
        # Where nothing is a frame, this is where the first thing that looked like one ends.
        found.stops[:0] = [] if no_header is None else [no_header]
        return found
    found.passed_over += len(octets) - end - octets[end:].count(FLAG)
    for assembly in assemblies.values():
        if assembly.frames:
            found.stops.append(Stop(len(octets), f"an APDU in HDLC segments ends after {len(assembly.frames)}"))
    return found


def _next_start(octets: bytes, at: int) -> int | None:
    """Where the next frame may begin: behind a flag, or at the very beginning of the capture."""
    if at == 0 and octets[:1] and octets[0] & 0xF0 == TYPE_3:
        return 0
    flag = octets.find(FLAG, max(at - 1, 0))
    while flag >= 0:
        start = flag + 1
        if start >= at and start < len(octets) and octets[start] & 0xF0 == TYPE_3:
            return start
        flag = octets.find(FLAG, start)
    return None


def _announced(octets: bytes, start: int) -> int | None:
    """The length of the frame that begins here; None where its header is no sound one."""
    head = octets[start : start + _LONGEST_HEADER + 2]
    if len(head) < 2 or (size := hdlc.length_of(head)) < _SHORTEST:
        return None
    header = hdlc.header_size(head)
    if header is None or header + 2 > size or len(head) < header + 2:
        return None
    return size if hdlc.check(head[:header]) == head[header : header + 2] else None


def _header_end(octets: bytes, start: int) -> int:
    """Where the header that begins here should end: its check stands there, and is wrong or missing."""
    header = hdlc.header_size(octets[start : start + _LONGEST_HEADER])
    return len(octets) if header is None else min(start + header, len(octets))


@dataclass(slots=True)
class _Assembly:
    """The segments of one sender's APDU that are there so far."""

    lsdu: bytearray = field(default_factory=bytearray)
    frames: list[Frame] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    start: int = 0
    last: hdlc.Frame | None = None
    """The I frame before this one, which may be sent once more."""

    def clear(self) -> None:
        self.lsdu.clear()
        self.frames.clear()
        self.places.clear()


def _take(
    found: Framed, assemblies: dict[tuple[str, str], _Assembly], frame: hdlc.Frame, start: int, size: int
) -> None:
    source, destination = str(frame.source), str(frame.destination)
    ends = talkers(source, destination)
    shown = _shown(frame, size)
    if frame.kind not in _WITH_APDU or not frame.information:
        if frame.kind in (Kind.SNRM, Kind.UA, Kind.DISC, Kind.DM):
            for way in ((source, destination), (destination, source)):
                assemblies.pop(way, None)
        found.units.append(Unit(b"", (shown,), start, start + size, sender=source, ends=ends))
        return
    assembly = assemblies.setdefault((source, destination), _Assembly())
    if frame.kind is Kind.I:
        if assembly.last is not None and _is_repeated(assembly.last, frame):
            repeated = _shown(frame, size, "sent once more")
            found.units.append(Unit(b"", (repeated,), start, start + size, sender=source, ends=ends))
            return
        assembly.last = frame
    if not assembly.frames:
        assembly.start = start
    assembly.places.append((len(assembly.lsdu) - len(COMMAND), start + size - 2 - len(frame.information)))
    assembly.lsdu += frame.information
    assembly.frames.append(shown)
    if frame.segmented and len(assembly.lsdu) <= MAX_APDU:
        return
    _finish(found, assembly, start + size, source, ends)


def _finish(found: Framed, assembly: _Assembly, end: int, sender: str, ends: str) -> None:
    lsdu = bytes(assembly.lsdu)
    offset = assembly.places[0][1]
    places = ((0, offset + len(COMMAND)), *assembly.places[1:])
    if lsdu[: len(COMMAND)] in (COMMAND, RESPONSE):
        apdu = lsdu[len(COMMAND) :]
        found.units.append(Unit(apdu, tuple(assembly.frames), assembly.start, end, places, sender, ends))
    else:
        found.units.append(Unit(b"", tuple(assembly.frames), assembly.start, end, sender=sender, ends=ends))
        found.stops.append(Stop(offset, f"no LLC header before the APDU: it begins {lsdu[:3].hex()}"))
    assembly.clear()


def _is_repeated(before: hdlc.Frame, frame: hdlc.Frame) -> bool:
    return (before.send, before.information, before.segmented) == (frame.send, frame.information, frame.segmented)


def _shown(frame: hdlc.Frame, size: int, remark: str = "") -> Frame:
    notes = [f"{whose} device {address.lower}" for whose, address in _devices(frame) if address.lower is not None]
    notes += ["segment, more follow"] if frame.segmented else []
    notes += [remark] if remark else []
    kind = frame.kind.name if frame.kind is not Kind.UNKNOWN else f"frame with control {frame.unknown:02x}"
    return Frame("HDLC", size, kind, frame.source.upper, frame.destination.upper, ", ".join(notes))


def _devices(frame: hdlc.Frame) -> tuple[tuple[str, HdlcAddress], tuple[str, HdlcAddress]]:
    return ("source", frame.source), ("destination", frame.destination)
