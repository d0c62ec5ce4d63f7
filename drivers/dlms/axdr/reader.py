"""A cursor over received octets that are not COSEM data themselves: APDUs, and what surrounds them."""

from __future__ import annotations

from drivers.dlms.axdr.decode import Decoder
from drivers.dlms.axdr.types import DEFAULT
from profiles.errors import ProtocolError


class Reader:
    """A bounded cursor over received octets; every method raises ProtocolError rather than read past the end.

    `what` names the thing being read, for the error.
    """

    __slots__ = ("_decoder", "data", "offset", "what")

    def __init__(self, data: bytes, what: str, offset: int = 0) -> None:
        self.data = data
        self.what = what
        self.offset = offset
        self._decoder: Decoder | None = None

    @property
    def left(self) -> int:
        """Octets not yet read."""
        return len(self.data) - self.offset

    def take(self, count: int) -> bytes:
        """The next `count` octets."""
        start = self.offset
        end = start + count
        if end > len(self.data):
            raise self._short(count)
        self.offset = end
        return self.data[start:end]

    def peek(self) -> int:
        """The next octet, which stays unread."""
        if not self.left:
            raise ProtocolError(f"{self.what}: ends at octet {self.offset}, where more should follow")
        return self.data[self.offset]

    def octet(self) -> int:
        """The next octet."""
        at = self.offset
        try:
            value = self.data[at]
        except IndexError:
            raise self._short(1) from None
        self.offset = at + 1
        return value

    def uint(self, size: int) -> int:
        """An unsigned integer of `size` octets, most significant first."""
        return int.from_bytes(self.take(size), "big")

    def int8(self) -> int:
        return int.from_bytes(self.take(1), "big", signed=True)

    def length(self) -> int:
        """A length in BER's definite form (A-XDR uses the same), at most the number of octets that follow it."""
        count = self.octet()
        if count >= 0x80:
            size = count & 0x7F
            if not 1 <= size <= 4:
                raise ProtocolError(f"{self.what}: a length of {size} octets at octet {self.offset - 1}")
            count = self.uint(size)
        if count > len(self.data) - self.offset:
            raise ProtocolError(f"{self.what}: length {count} at octet {self.offset}, but {self.left} octets follow")
        return count

    def octets(self) -> bytes:
        """A length, then as many octets."""
        count = self.length()
        start, self.offset = self.offset, self.offset + count
        return self.data[start : self.offset]

    def datum(self) -> bytes:
        """The next A-XDR value, still encoded; the bound on elements is on all values of this reader together."""
        if self._decoder is None:
            self._decoder = Decoder(self.data, DEFAULT)
        return self.take(self._decoder.read(self.offset)[1] - self.offset)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    def end(self) -> None:
        """Refuse what is left over."""
        if self.left:
            raise ProtocolError(f"{self.what}: {self.left} octets too many")

    def _short(self, count: int) -> ProtocolError:
        return ProtocolError(f"{self.what}: {count} octets expected at octet {self.offset}, {self.left} received")
