"""Long frames of the wired M-Bus, in which meters push at customer ports (EN 13757-2; IEC 62056-7-3), without I/O.

    68 L L 68  C A CI STSAP DTSAP  data  sum 16        CI: bit 4 the last segment, bits 0 to 3 its number

The one rule: a frame is what its two lengths say, with a right sum and 16 at its end; all else is passed over and
counted, and the search goes on one octet later.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from profiles.errors import ProtocolError

START: Final = 0x68
STOP: Final = 0x16
MAX_DATA: Final = 250
"""Octets of an APDU in one frame."""

_HEAD: Final = 4
_FIELDS: Final = 5
_TAIL: Final = 2
_FINAL: Final = 0x10
_HIGHEST_CI: Final = 0x1F
"""CI fields up to here are DLMS; others are M-Bus's own."""
_MAX_SENDERS: Final = 16


@dataclass(frozen=True, slots=True)
class MbusFrame:
    """One segment of an APDU. `source` and `destination` are SAPs, `address` that of the M-Bus."""

    source: int
    destination: int
    data: bytes
    number: int = 0
    final: bool = True
    address: int = 0xFF
    control: int = 0x53

    def encode(self) -> bytes:
        """The long frame; ProtocolError where its data don't fit."""
        if len(self.data) > MAX_DATA:
            raise ProtocolError(f"{len(self.data)} octets do not fit an M-Bus frame", retry=False)
        ci = self.number & 0x0F | (_FINAL if self.final else 0)
        fields = bytes([self.control, self.address, ci, self.source, self.destination]) + self.data
        return bytes([START, len(fields), len(fields), START]) + fields + bytes([sum(fields) & 0xFF, STOP])


class MbusReader:
    """Finds long frames in a stream, and puts their segments together. `passed_over` counts octets of no frame."""

    def __init__(self, max_apdu: int) -> None:
        self.passed_over = 0
        self._max_apdu = max_apdu
        self._buffer = bytearray()
        self._assemblies: OrderedDict[tuple[int, int, int], _Assembly] = OrderedDict()

    @property
    def within_frame(self) -> bool:
        """Whether part of a frame is there."""
        return bool(self._buffer)

    @property
    def incomplete(self) -> bool:
        """Whether part of an APDU is there."""
        return bool(self._buffer or self._assemblies)

    def feed(self, octets: bytes) -> None:
        """Take what came; call `next` until it gives None before feeding more."""
        self._buffer += octets

    def next(self) -> tuple[MbusFrame, bytes] | None:
        """The next whole APDU, and the frame that completed it; ProtocolError on one longer than allowed."""
        while (frame := self._frame()) is not None:
            apdu = self._assemble(frame)
            if apdu is not None:
                return frame, apdu
        return None

    def _frame(self) -> MbusFrame | None:
        while self._buffer:
            size = self._size()
            if size is None or len(self._buffer) < size:
                return None
            if size and (frame := _decoded(bytes(self._buffer[:size]))) is not None:
                del self._buffer[:size]
                return frame
            at = self._buffer.find(START, 1)
            skipped = at if at > 0 else len(self._buffer)
            del self._buffer[:skipped]
            self.passed_over += skipped
        return None

    def _size(self) -> int | None:
        """Octets of the frame that begins here, None where that can't be said yet, 0 where none does."""
        head = self._buffer[:_HEAD]
        likely = bytes([START, *head[1:2], *head[1:2], START])[: len(head)]
        if head != likely or (len(head) > 1 and head[1] < _FIELDS):
            return 0
        return _HEAD + head[1] + _TAIL if len(head) == _HEAD else None

    def _assemble(self, frame: MbusFrame) -> bytes | None:
        whose = (frame.address, frame.source, frame.destination)
        assembly = self._assemblies.pop(whose, None)
        if frame.number == 0 and (assembly is None or assembly.count & 0x0F):
            assembly = _Assembly()
        if assembly is None or frame.number != assembly.count & 0x0F:
            return None  # what came before it got lost
        assembly.count += 1
        assembly.apdu += frame.data
        if len(assembly.apdu) > self._max_apdu:
            raise ProtocolError(f"an APDU of more than {self._max_apdu} octets in M-Bus segments")
        if frame.final:
            return bytes(assembly.apdu)
        self._assemblies[whose] = assembly
        if len(self._assemblies) > _MAX_SENDERS:
            self._assemblies.popitem(last=False)
        return None


@dataclass(slots=True)
class _Assembly:
    apdu: bytearray = field(default_factory=bytearray)
    count: int = 0


def _decoded(octets: bytes) -> MbusFrame | None:
    fields, end = octets[_HEAD:-_TAIL], octets[-_TAIL:]
    control, address, ci, source, destination = fields[:_FIELDS]
    if end != bytes([sum(fields) & 0xFF, STOP]) or ci > _HIGHEST_CI:
        return None
    return MbusFrame(source, destination, fields[_FIELDS:], ci & 0x0F, bool(ci & _FINAL), address, control)
