"""Long frames of the wired M-Bus as meters push DLMS in them (EN 13757-2; IEC 62056-7-3; CI fields 00 to 1F).

68 L L 68  C A CI  STSAP DTSAP  data  sum 16        bit 4 of CI: the last segment; bits 0 to 3: its number
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from drivers.capture.framing import Frame, Framed, Stop, Unit, talkers

_START: Final = 0x68
_STOP: Final = 0x16
_HEAD: Final = 4
_FIELDS: Final = 5
"""C, A, CI, STSAP, DTSAP."""
_TAIL: Final = 2
_LAST_CI: Final = 0x1F
_FIN: Final = 0x10


@dataclass(slots=True)
class _Assembly:
    apdu: bytearray = field(default_factory=bytearray)
    frames: list[Frame] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    start: int = 0


def find_mbus(octets: bytes) -> Framed:
    """Every sound long frame, and the APDUs in them."""
    found = Framed("M-Bus")
    assemblies: dict[bytes, _Assembly] = {}
    at = end = 0
    while (at := octets.find(_START, at)) >= 0:
        size = _frame_size(octets, at)
        if size is None:
            at += 1
            continue
        if not (found.understood or found.stops):
            found.begins = at
        stop = _fault(octets, at, size)
        if stop is not None:
            found.stops.append(stop)
            at += 1
            continue
        found.passed_over += at - end
        found.understood += size
        end = at + size
        _take(found, assemblies, octets[at:end], at)
        at = end
    found.passed_over += len(octets) - end if found.understood else 0
    for assembly in assemblies.values():
        reason = f"an APDU in M-Bus segments ends after {len(assembly.frames)}"
        found.stops.append(Stop(len(octets), reason))
    return found


def _frame_size(octets: bytes, at: int) -> int | None:
    """The octets of the long frame that begins here; None where none does."""
    head = octets[at : at + _HEAD]
    if len(head) < _HEAD or head[1] != head[2] or head[3] != _START or head[1] < _FIELDS:
        return None
    return _HEAD + head[1] + _TAIL


def _fault(octets: bytes, at: int, size: int) -> Stop | None:
    if at + size > len(octets):
        return Stop(len(octets), f"an M-Bus frame of {size} octets ends after {len(octets) - at}")
    total, stop = octets[at + size - 2], octets[at + size - 1]
    if sum(octets[at + _HEAD : at + size - _TAIL]) & 0xFF != total:
        return Stop(at + size - 2, "an M-Bus frame with a wrong sum")
    if stop != _STOP:
        return Stop(at + size - 1, f"an M-Bus frame that ends {stop:02x}, not 16")
    if octets[at + 6] > _LAST_CI:
        return Stop(at + 6, f"an M-Bus frame of CI field {octets[at + 6]:02x}, which is not DLMS")
    return None


def _take(found: Framed, assemblies: dict[bytes, _Assembly], frame: bytes, at: int) -> None:
    control, address, ci, source, destination = frame[_HEAD : _HEAD + _FIELDS]
    whose = bytes([address, source, destination])
    number, last = ci & 0x0F, bool(ci & _FIN)
    note = f"address {address}, segment {number}{', the last' if last else ''}"
    shown = Frame("M-Bus", len(frame), f"C {control:02x} CI {ci:02x}", source, destination, note)
    assembly = assemblies.setdefault(whose, _Assembly(start=at))
    if number != len(assembly.frames) & 0x0F:
        found.stops.append(Stop(at + 6, f"M-Bus segment {number} where {len(assembly.frames) & 0x0F} is due"))
        del assemblies[whose]
        if number:
            return
        assembly = assemblies[whose] = _Assembly(start=at)
    data = at + _HEAD + _FIELDS
    assembly.places.append((len(assembly.apdu), data))
    assembly.apdu += frame[_HEAD + _FIELDS : -_TAIL]
    assembly.frames.append(shown)
    if last:
        del assemblies[whose]
        ends = talkers(source, destination)
        frames, places = tuple(assembly.frames), tuple(assembly.places)
        found.units.append(
            Unit(bytes(assembly.apdu), frames, assembly.start, at + len(frame), places, str(source), ends)
        )
