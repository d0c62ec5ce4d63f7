"""Finds HDLC frames in a stream of octets.

The one rule: a frame is what its length says, with sound checks and a flag at both ends; all else is passed over and
counted, and the search goes on one octet later. The header has its own check, so garbage is seen to be garbage after
a few octets and nothing is waited for on its word.
"""

from __future__ import annotations

import contextlib
from typing import Final

from drivers.hdlc.frames import FLAG, TYPE_3, Frame, check, decode_frame, header_size, length_of
from profiles.errors import ProtocolError

_LONGEST_HEADER: Final = 2 + 4 + 4 + 1 + 2
_SHORTEST_FRAME: Final = 2 + 1 + 1 + 1 + 2


class FrameReader:
    """Finds the frames in a stream of octets, however the link cut them."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.passed_over = 0
        """Octets that belonged to no frame."""

    def feed(self, data: bytes) -> None:
        """Take what the link received; call `next` until it gives None before feeding more."""
        self._buffer += data

    def next(self) -> Frame | None:
        """The next whole and sound frame, or None until more is fed."""
        while self._find_flag():
            octets = self._candidate()
            if octets is None:
                return None
            if octets:
                with contextlib.suppress(ProtocolError):
                    frame = decode_frame(octets)
                    del self._buffer[: 1 + len(octets)]  # the closing flag may open the next frame
                    return frame
            del self._buffer[:1]
            self.passed_over += 1
        return None

    @property
    def incomplete(self) -> bool:
        """Whether part of a frame is there."""
        return len(self._buffer) > 1

    def reset(self) -> None:
        """Forget what is half received."""
        self._buffer.clear()

    def _find_flag(self) -> bool:
        """Move to the last of the next run of flags; whether there is one."""
        at = self._buffer.find(FLAG)
        self.passed_over += len(self._buffer) if at < 0 else at
        del self._buffer[: len(self._buffer) if at < 0 else at]
        while len(self._buffer) > 1 and self._buffer[1] == FLAG:
            del self._buffer[:1]
        return at >= 0

    def _candidate(self) -> bytes | None:
        """What the length after the flag announces; None until it is all there, b"" where it can't be a frame."""
        head = self._buffer[1 : 1 + _LONGEST_HEADER]
        if not head:
            return None
        if head[0] & 0xF0 != TYPE_3:
            return b""
        if len(head) < 2:
            return None
        length = length_of(head)
        if length < _SHORTEST_FRAME:
            return b""
        if not self._header_sound(head[: min(length, len(head))], length):
            return b""
        if len(self._buffer) < length + 2:
            return None
        return bytes(self._buffer[1 : 1 + length]) if self._buffer[1 + length] == FLAG else b""

    @staticmethod
    def _header_sound(head: bytearray, length: int) -> bool:
        """False as soon as the header is seen to be none: nothing is waited for on the word of garbage."""
        size = header_size(head)
        if size is None:
            return len(head) < min(length, _LONGEST_HEADER)
        return len(head) < size + 2 or check(bytes(head[:size])) == head[size : size + 2]
