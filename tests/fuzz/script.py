"""One input of a fuzzer, read as a script: single octets that choose, and octet strings with their length before them.

The one rule: any octets are a script. What is missing at its end is 0 or empty.
"""

from __future__ import annotations

_LONG = 0xFF
"""A length octet that says: two more octets have the length."""


class Script:
    """Reads a script from its beginning."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._octets)

    def choose(self, count: int) -> int:
        """A number below `count`, from one octet."""
        return self._take(1, 1)[0] % count

    def piece(self) -> bytes:
        """An octet string; what is left, where that is shorter than its length says."""
        size = self._take(1, 1)[0]
        if size == _LONG:
            size = int.from_bytes(self._take(2, 2), "big")
        return self._take(size)

    def rest(self) -> bytes:
        """All that is left."""
        return self._take(len(self._octets))

    def _take(self, count: int, least: int = 0) -> bytes:
        taken = self._octets[self._at : self._at + count]
        self._at += count
        return taken.ljust(least, b"\x00")


def write(*parts: int | bytes) -> bytes:
    """The script that reads as these choices and pieces."""
    return b"".join(bytes([part]) if isinstance(part, int) else _piece(part) for part in parts)


def _piece(octets: bytes) -> bytes:
    size = len(octets)
    return (bytes([size]) if size < _LONG else bytes([_LONG]) + size.to_bytes(2, "big")) + octets
