"""Wrapper frames (Green Book, clause 7.3.3) in a capture that may begin or end in the middle of one."""

from __future__ import annotations

import re
import struct
from typing import Final

from drivers.capture.bare import is_apdu
from drivers.capture.framing import FIRST_OCTETS, Frame, Framed, Stop, Unit, talkers
from drivers.dlms.wrapper import VERSION

_HEADER: Final = struct.Struct(">4H")
_VERSION: Final = VERSION.to_bytes(2, "big")
_LIKELY: Final = re.compile(_VERSION + b"(?s:.{6})[" + re.escape(bytes(sorted(FIRST_OCTETS))) + b"]")
"""A header, and what an APDU begins with."""
_MAX_TRIES: Final = 256
"""Places that are looked at each time that a frame is missing: in noise there are any number of likely ones."""


def find_wrapper(octets: bytes) -> Framed:
    """Every frame. Where one does not follow another, the next place that looks like one is taken."""
    found = Framed("wrapper")
    at = 0
    while at < len(octets):
        stop = _fault(octets, at)
        if stop is None:
            _, source, destination, size = _HEADER.unpack_from(octets, at)
            start = at + _HEADER.size
            found.units.append(_unit(octets[start : start + size], at, source, destination))
            found.understood += _HEADER.size + size
            at = start + size
            continue
        is_cut = stop.offset == len(octets)
        # Behind whole frames, one that is cut off ends the capture; before them it was none.
        again = len(octets) if is_cut and found.units else _next_start(octets, at + 1)
        found.stops.append(Stop(at, "no wrapper frame begins here") if is_cut and again < len(octets) else stop)
        found.passed_over += again - at
        at = again
    return found


def _unit(apdu: bytes, at: int, source: int, destination: int) -> Unit:
    size = _HEADER.size + len(apdu)
    frame = Frame("wrapper", size, "", source, destination)
    ends = talkers(source, destination)
    return Unit(apdu, (frame,), at, at + size, ((0, at + _HEADER.size),), str(source), ends)


def _fault(octets: bytes, at: int) -> Stop | None:
    """What keeps a frame from being at `at`; None where one is."""
    left = len(octets) - at
    begins = octets[at : at + 2]
    if not _VERSION.startswith(begins):
        return Stop(at + (begins[:1] == _VERSION[:1]), f"no wrapper frame: it begins {begins.hex()}, not 0001")
    if left < _HEADER.size:
        return Stop(len(octets), f"a wrapper header ends after {left} octets")
    size = _HEADER.unpack_from(octets, at)[3]
    if not size:
        return Stop(at + 6, "a wrapper frame without an APDU")
    start = at + _HEADER.size
    if left > _HEADER.size and octets[start] not in FIRST_OCTETS:
        return Stop(start, f"no APDU in a wrapper frame: it begins {octets[start]:02x}")
    if size > left - _HEADER.size:
        return Stop(len(octets), f"a wrapper frame of an APDU of {size} octets ends after {left - _HEADER.size}")
    return None


def _next_start(octets: bytes, at: int) -> int:
    """Where the next whole frame with an APDU in it may be; the end of the octets where there is none."""
    for _ in range(_MAX_TRIES):
        found = _LIKELY.search(octets, at)
        if found is None:
            break
        at = found.start()
        start = at + _HEADER.size
        if _fault(octets, at) is None and is_apdu(octets[start : start + _HEADER.unpack_from(octets, at)[3]]):
            return at
        at += 1
    return len(octets)
