"""General block transfer: any APDU in numbered blocks, both ways (Green Book, clauses 9.3.5 and 9.4.6.13).

An exchange is an APDU one way and, for a request, the answer the other way; either may go in blocks. Each side numbers
what it sends from 1, acknowledgements (blocks without data) included, and tells in every block the last one that it
holds without a gap and how many it takes in a row: its window, or the size of the gap that it wants filled.

Rules:
- A block with streaming off, or the last of an APDU, gives the turn to the other side. Who has the turn sends what the
  other lacks, as many blocks as its window takes; else its next blocks; else, in the middle of the other's APDU, an
  acknowledgement that asks for what is missing. An acknowledgement is never answered for its own sake.
- The other side's window is 1 until it has told it. Only news is answered: a block not seen yet, or one that
  acknowledges more; and data that comes once more at the end of a turn, since its sender has not got our answer.
- When nothing comes (`idle`), the side that began repeats its first block until it has heard of the other; after that
  an acknowledgement with a number of its own says what it holds, and the other goes on from there.
- The side that began falls silent when it holds the whole answer. A block 1 that acknowledges nothing begins anew.
- A block with another content than the one held of its number is an error, or of the next exchange.
- A window of 0 is a sender that takes nothing back: it is not answered, and a gap in what it sends is an error.

States of an exchange, each way: no block yet, in blocks, whole. No I/O and no clock: octets in, octets out.

The standard has no number of the exchange. Where a channel doubles blocks and brings them back late (UDP), a request of
several blocks in clear may be served twice, and a client that lost a block of one answer may take it of the other: only
protection tells.
"""

from __future__ import annotations

from typing import Final

from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import GeneralBlockTransfer, tags
from profiles.errors import ProtocolError

MAX_WINDOW: Final = 63
MAX_APDU: Final = 1 << 24
"""The longest APDU that is put together of blocks, in octets; a whole year of load profile is far shorter."""
IDLE_LIMIT: Final = 3
"""How often a side asks again without getting on, before it gives up."""

_MAX_BLOCK: Final = 0xFFFF
_REACH: Final = 2 * MAX_WINDOW + 1
"""How far beyond the last block in order another may be: a window, and a window of acknowledgements that got lost."""
_HEADER: Final = 6
_PROTECTED: Final = frozenset(
    {
        *tags.CIPHERED,
        tags.GENERAL_GLO_CIPHERING,
        tags.GENERAL_DED_CIPHERING,
        tags.GENERAL_CIPHERING,
        tags.GENERAL_SIGNING,
    }
)

_TELLING: Final = 40
"""So many octets of a protected APDU hold what no other has: its invocation counter, or its transaction."""


def block_size(max_pdu: int) -> int:
    """The octets of data in a block whose APDU has at most `max_pdu` octets (0: no limit but that of the wrapper)."""
    room = (max_pdu or 0xFFFF) - _HEADER
    size = max((n for n in range(room - 3, room) if n > 0 and n + len(axdr.length(n)) <= room), default=0)
    if size < 1:
        raise ProtocolError(f"a PDU of {max_pdu} octets holds no block", retry=False)
    return size


class _Incoming:
    """The APDU that comes: its blocks in order, each once."""

    def __init__(self, limit: int) -> None:
        self.whole = False
        self.size = 0
        """The octets of it received in order."""
        self.received = 0
        """The last block without a gap before it."""
        self.gives_turn = False
        """Whether that block ended what its sender had to send."""
        self._limit = limit
        self._blocks: dict[int, GeneralBlockTransfer] = {}
        self._ahead: dict[int, GeneralBlockTransfer] = {}

    @property
    def apdu(self) -> bytes:
        return b"".join(block.data for block in self._blocks.values())

    @property
    def first(self) -> GeneralBlockTransfer | None:
        return self._blocks.get(1)

    @property
    def gap(self) -> int:
        """How many blocks are missing before the first that came too early; 0 for none."""
        return min(self._ahead) - self.received - 1 if self._ahead else 0

    @property
    def begun(self) -> bool:
        return self.received > 0 or bool(self._ahead)

    def contradicts(self, block: GeneralBlockTransfer) -> bool:
        """Whether the block is not one of this APDU: another of its number is here, or the end came before it."""
        held = self._blocks.get(block.block) or self._ahead.get(block.block)
        if held is None:
            return self.whole and bool(block.data)
        return (held.data, held.last) != (block.data, block.last)

    def add(self, block: GeneralBlockTransfer, none_before: bool) -> bool:
        """Take a block; False for one that is here already, or lies behind the end of the APDU.

        With `none_before`, what is missing before it can have been acknowledgements only.
        """
        number = block.block
        if number <= self.received or number in self._ahead:
            return False
        if self.whole:
            if block.data:
                return False
            self.received, self.gives_turn = number, _gives_turn(block)  # acknowledgements between may be lost
            return True
        if number > self.received + _REACH:
            raise ProtocolError(f"general block transfer: block {number} where {self.received + 1} is due")
        if none_before and not self.size and not any(each.data for each in self._ahead.values()):
            self._ahead.clear()
            self.received = number - 1
        self._ahead[number] = block
        if self.size + sum(len(each.data) for each in self._ahead.values()) > self._limit:
            raise ProtocolError(f"general block transfer: an APDU of more than {self._limit} octets")
        while not self.whole and (due := self._ahead.pop(self.received + 1, None)):
            self.received += 1
            self.gives_turn = _gives_turn(due)
            self._blocks[self.received] = due
            self.size += len(due.data)
            self.whole = due.last and self.size > 0
        if self.whole:
            self._ahead.clear()
        return True


class BlockTransfer:
    """One side of general block transfer: a client, a server, a sender or a receiver of pushes.

    `max_pdu` is what the other side takes, in octets (0: any), `window` how many blocks it may send us in a row.
    `answers` is set where the other side begins each exchange (a server, a receiver of pushes). It serves one exchange
    after another.

    Errors are ProtocolError; after one, the exchange is over and forgotten.
    """

    def __init__(
        self,
        max_pdu: int,
        window: int = 16,
        *,
        answers: bool = False,
        limit: int = MAX_APDU,
        idle_limit: int = IDLE_LIMIT,
    ) -> None:
        if not 1 <= window <= MAX_WINDOW:
            raise ProtocolError(f"a window of {window} blocks, not 1 to {MAX_WINDOW}", retry=False)
        self._size = block_size(max_pdu)
        self._window = window
        self._answers = answers
        self._limit = limit
        self._idle_limit = idle_limit
        self._skipping = False  # what is left of an unconfirmed APDU that lost a block
        self._forget()

    def _forget(self) -> None:
        self._incoming = _Incoming(self._limit)
        self._taken = False
        self._unconfirmed = False
        self._turn_of = 0  # the block that last gave us the turn
        self._apdu = b""
        self._offset = 0
        self._final = not self._answers  # whether no more than what is in _apdu will be sent
        self._blocks: list[tuple[bool, bytes]] = []  # numbered from 1: last?, data
        self._last_data = 0  # the number of our last block with data
        self._acknowledged = 0
        self._peer_window = 1  # until it has told, in each exchange
        self._idle = 0
        self._aside: BlockTransfer | None = None
        self._untouched = True

    # --- what the user of it calls ---------------------------------------------------------------------------

    def start(self, whole: bytes) -> list[bytes]:
        """The blocks to send now for an APDU, protected already if it is to be.

        It answers the APDU that has come in blocks, if one has; else it begins an exchange.
        """
        if not (self._answers and self._incoming.whole and not self._final):
            self._forget()
            if self._answers:  # the request came in one piece: only acknowledgements follow
                self._incoming.whole = self._taken = True
        if not whole or len(self._blocks) - (-len(whole) // self._size) > _MAX_BLOCK:
            raise ProtocolError(f"an APDU of {len(whole)} octets does not go in blocks of {self._size}", retry=False)
        self._apdu, self._offset, self._final, self._untouched = whole, 0, True, False
        return self._stream(self._peer_window)

    def expect(self) -> None:
        """Begin an exchange whose request goes in one piece: what comes is the answer to it."""
        if not self._untouched:
            self._forget()

    def handle(self, gbt: bytes) -> list[bytes]:
        """What to send for a general-block-transfer APDU that came: next blocks, lost ones again, acknowledgements."""
        block = apdu.decode(gbt)
        if not isinstance(block, GeneralBlockTransfer):
            raise ProtocolError(f"{block.name} where general-block-transfer is due")
        try:
            to_send = self._handle(block)
        except ProtocolError:
            self._skipping = self._unconfirmed
            self._forget()
            raise
        self._untouched = False
        return to_send

    def take(self) -> bytes | None:
        """The APDU that has come whole, once; where we sent no block, a push may be taken so too, before the answer."""
        if self._aside and not self._blocks and (push := self._aside.take()) is not None:
            return push
        if self._taken or not self._incoming.whole:
            return None
        self._taken = True
        return self._incoming.apdu

    def take_unasked(self) -> bytes | None:
        """A push that came whole in blocks of its own, in the middle of our exchange, once."""
        return self._aside.take() if self._aside and self._blocks else None

    def acknowledge(self) -> list[bytes]:
        """Confirm an APDU that came whole and is not answered (a push); nothing where its sender takes nothing."""
        if not self._incoming.whole or self._final or self._unconfirmed:
            return []
        self._final = True
        return [self._empty()]

    @property
    def incomplete(self) -> bool:
        """Whether an APDU has begun to come and is not whole."""
        return self._incoming.begun and not self._incoming.whole

    @property
    def delivered(self) -> bool:
        """Whether the other side has all of our APDU."""
        return self._offset >= len(self._apdu) and self._acknowledged >= self._last_data > 0

    def idle(self) -> list[bytes]:
        """What to send because nothing came in time; empty where nothing is owed or can be asked for.

        ProtocolError when it was of no use as often as allowed, or where a lost block can't be asked for.
        """
        if self._unconfirmed and self.incomplete:
            self._forget()
            raise ProtocolError("general block transfer: the end of an unconfirmed APDU got lost")
        if not self._owed():
            return []
        self._idle += 1
        if self._idle > self._idle_limit:
            received = self._incoming.received
            self._forget()
            raise ProtocolError(f"general block transfer: nothing more comes after block {received}")
        if not self._incoming.begun:
            return self._stream(self._peer_window)
        return [self._empty()]

    # --- the protocol ----------------------------------------------------------------------------------------

    def _owed(self) -> bool:
        if self._answers:
            answering = self._final and self._last_data > 0 and self._offset < len(self._apdu)
            return answering or self.incomplete
        return not self._incoming.whole and (self._incoming.begun or bool(self._blocks))

    def _handle(self, block: GeneralBlockTransfer) -> list[bytes]:
        if block.block == 0:
            raise ProtocolError("general block transfer: block 0")
        if self._is_aside(block):
            self._take_aside(block)
            return []
        if self._begins(block):
            self._forget()
        if self._incoming.contradicts(block):
            raise ProtocolError(f"general block transfer: block {block.block} came twice, not with the same data")
        if block.acknowledged > len(self._blocks):
            raise ProtocolError(
                f"general block transfer: block {block.acknowledged} acknowledged, of {len(self._blocks)} sent"
            )
        if self._answers and block.window == 0 and not self._blocks:
            self._take_unconfirmed(block)
            return []
        return self._answer(block)

    def _answer(self, block: GeneralBlockTransfer) -> list[bytes]:
        incoming, before = self._incoming, self._incoming.received
        # Before the other side has our whole APDU, it only acknowledges.
        waiting = self._offset < len(self._apdu) or block.acknowledged < self._last_data
        new = incoming.add(block, none_before=waiting and not block.data)
        more = block.acknowledged > self._acknowledged
        self._acknowledged = max(self._acknowledged, block.acknowledged)
        if more or incoming.received > before:
            self._idle = 0
        if not new and (block.data or not more):
            # Who repeats the end of its turn has not got our answer. An acknowledgement is not answered twice: doubles
            # made on the way would beget doubles for ever.
            again = block.data and _gives_turn(block) and block.acknowledged == self._acknowledged
            return self._stream(self._peer_window) if again else []
        self._peer_window = max(1, block.window)
        ended = incoming.gives_turn and incoming.received > self._turn_of
        if ended:
            self._turn_of = incoming.received
        if not ended and not _gives_turn(block):
            return []
        if not block.data and block.acknowledged < self._acknowledged:
            return []  # overtaken by a later one
        if incoming.whole and not self._answers:
            return []
        if blocks := self._stream(self._peer_window):
            return blocks
        if incoming.whole or not (incoming.size or incoming.gap):
            return []
        return [self._empty()]

    def _begins(self, block: GeneralBlockTransfer) -> bool:
        """Whether the block is of the other side's next exchange, and not one of this exchange again."""
        if not self._answers or block.acknowledged or not block.data:
            return False
        if block.block != 1 or not (first := self._incoming.first):
            return self._incoming.contradicts(block)  # where the first of the next got lost or is late
        if self._unconfirmed or block.data != first.data:
            return True
        # The same octets under protection are the same APDU; in clear they may well be meant once more.
        protected = first.data[0] in _PROTECTED and (first.last or len(first.data) >= _TELLING)
        over = self._incoming.whole and self._final and self._offset >= len(self._apdu)
        return not protected and (over or self._acknowledged > 0)  # by now its sender has no reason to repeat it

    def _stream(self, window: int) -> list[bytes]:
        """From the first block that the other side lacks, as many as its window takes."""
        end = self._acknowledged + window
        while len(self._blocks) < end and self._offset < len(self._apdu):
            data = self._apdu[self._offset : self._offset + self._size]
            self._offset += len(data)
            self._number(self._offset >= len(self._apdu), data)
            self._last_data = len(self._blocks)
        end = min(end, len(self._blocks))
        if end > self._last_data > self._acknowledged:
            end = self._last_data  # acknowledgements after data say nothing that it does not say itself
        return [self._encode(number, number < end) for number in range(self._acknowledged + 1, end + 1)]

    def _empty(self) -> bytes:
        """An acknowledgement: last, unless it comes in the middle of our APDU."""
        self._number(self._offset >= len(self._apdu), b"")
        return self._encode(len(self._blocks), streaming=False)

    def _number(self, last: bool, data: bytes) -> None:
        if len(self._blocks) >= _MAX_BLOCK:
            raise ProtocolError(f"general block transfer: more than {_MAX_BLOCK} blocks")
        self._blocks.append((last, data))

    def _encode(self, number: int, streaming: bool) -> bytes:
        last, data = self._blocks[number - 1]
        window = min(self._incoming.gap or self._window, self._window)
        return GeneralBlockTransfer(last, streaming, window, number, self._incoming.received, data).encode()

    # --- what is not confirmed -------------------------------------------------------------------------------

    def _take_unconfirmed(self, block: GeneralBlockTransfer) -> None:
        self._unconfirmed = True
        self._skipping = self._skipping and block.block > 1
        if self._skipping or block.block <= self._incoming.received:
            return
        if block.block > self._incoming.received + 1:
            raise ProtocolError(
                f"general block transfer: block {self._incoming.received + 1} of an unconfirmed APDU got lost"
            )
        self._incoming.add(block, none_before=False)

    def _is_aside(self, block: GeneralBlockTransfer) -> bool:
        """Whether the block is of a push, or of an answer whose sender takes nothing back."""
        return not self._answers and not block.window and not block.acknowledged and bool(block.data)

    def _take_aside(self, block: GeneralBlockTransfer) -> None:
        if self._aside is None:
            self._aside = BlockTransfer(0, answers=True, limit=self._limit)
        try:
            self._aside._handle(block)
        except ProtocolError:
            self._aside = None  # a push that lost a block is lost; our exchange goes on


def _gives_turn(block: GeneralBlockTransfer) -> bool:
    return block.last or not block.streaming
