"""What comes in blocks, put together by who only listens: datablocks of GET, SET and ACTION, general block transfer.

The one rule: a block that was repeated counts once, and nothing is made up for one that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.capture.body import Reference, references_of
from drivers.capture.framing import Frame
from drivers.dlms import apdu
from drivers.dlms.apdu import (
    ActionRequestBlock,
    ActionRequestFirstBlock,
    ActionRequestWithListFirstBlock,
    ActionResponseBlock,
    Apdu,
    GeneralBlockTransfer,
    GetResponseBlock,
    SetRequestBlock,
    SetRequestFirstBlock,
    SetRequestWithListFirstBlock,
)
from profiles.errors import ProtocolError
from profiles.objects import AttributeRef, MethodRef

Block = (
    GetResponseBlock
    | SetRequestFirstBlock
    | SetRequestWithListFirstBlock
    | SetRequestBlock
    | ActionRequestFirstBlock
    | ActionRequestWithListFirstBlock
    | ActionRequestBlock
    | ActionResponseBlock
)
_INVOKE_ID = 0x0F


@dataclass(slots=True)
class _Row:
    """The blocks of one transfer, in their order without a gap; what its first one asked for."""

    asked: tuple[Reference, ...] = ()
    listed: bool = False
    selection: bytes | None = None
    blocks: list[bytes] = field(default_factory=list)


class Datablocks:
    """The block transfers of one association, by service and invoke-id."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], _Row] = {}

    def add(self, block: Block, asked: tuple[Reference, ...], *, listed: bool) -> Apdu | None:
        """The APDU that this block completes, as if it had come whole (itself, if an error); None before the last one.

        `asked` and `listed` are of the request that a response answers. ProtocolError where a block is missing.
        """
        key = type(block).__name__[:6], block.invoke_id & _INVOKE_ID
        data = block.data
        if data is None:  # a data-access-result, which ends the transfer
            self._rows.pop(key, None)
            return block
        if block.block == 1:
            self._rows[key] = self._first(block, asked, listed)
        row = self._rows.get(key)
        due = 1 if row is None else len(row.blocks) + 1
        if row is None or block.block not in (due, due - 1):
            self._rows.pop(key, None)
            raise ProtocolError(f"block {block.block} where block {due} is due")
        if block.block == due:
            row.blocks.append(data)
        if not block.last:
            return None
        del self._rows[key]
        return _whole(block, row)

    @staticmethod
    def _first(block: Block, asked: tuple[Reference, ...], listed: bool) -> _Row:
        if isinstance(block, GetResponseBlock | ActionResponseBlock):
            return _Row(asked, listed)
        selection = block.selection if isinstance(block, SetRequestFirstBlock) else None
        many = isinstance(block, SetRequestWithListFirstBlock | ActionRequestWithListFirstBlock)
        return _Row(references_of(block), many, selection)


def _whole(last: Block, row: _Row) -> Apdu | None:
    data, invoke_id = b"".join(row.blocks), last.invoke_id
    if isinstance(last, GetResponseBlock):
        if row.listed:
            return apdu.GetResponseWithList(invoke_id, apdu.decode_results(data))
        return apdu.GetResponseNormal(invoke_id, data)
    if isinstance(last, ActionResponseBlock):
        if row.listed:
            return apdu.ActionResponseWithList(invoke_id, apdu.decode_action_results(data))
        return apdu.ActionResponseNormal(invoke_id, 0, data)
    attributes = [each for each in row.asked if isinstance(each, AttributeRef)]
    methods = tuple(each for each in row.asked if isinstance(each, MethodRef))
    if attributes and row.listed:
        selected = tuple(map(apdu.SelectedAttribute, attributes))
        return apdu.SetRequestWithList(invoke_id, selected, apdu.decode_values(data))
    if attributes:
        return apdu.SetRequestNormal(invoke_id, attributes[0], data, row.selection)
    if methods and row.listed:
        return apdu.ActionRequestWithList(invoke_id, methods, apdu.decode_values(data))
    return apdu.ActionRequestNormal(invoke_id, methods[0], data) if methods else None


@dataclass(slots=True)
class Transfer:
    """The general blocks of one sender that are not yet a whole APDU."""

    first: int = 1
    """The number of its first block: acknowledgements are numbered too."""
    blocks: dict[int, bytes] = field(default_factory=dict)
    last: int = 0
    frames: list[Frame] = field(default_factory=list)

    @property
    def missing(self) -> list[int]:
        end = self.last or max(self.blocks, default=0)
        return [number for number in range(self.first, end + 1) if number not in self.blocks]

    @property
    def has_data(self) -> bool:
        return any(self.blocks.values())


class Transfers:
    """General block transfers of one conversation, by sender."""

    def __init__(self) -> None:
        self._transfers: dict[str, Transfer] = {}

    def add(self, sender: str, block: GeneralBlockTransfer, frames: tuple[Frame, ...]) -> Transfer | None:
        """The transfer that this block completes; None where others are still due, or where it has no data."""
        transfer = self._transfers.setdefault(sender, Transfer())
        known = transfer.blocks.get(block.block)
        if block.block == 1 and (transfer.first > 1 or known not in (None, block.data)):
            transfer = self._transfers[sender] = Transfer()
        elif block.block < transfer.first or known is not None:
            return None
        transfer.blocks[block.block] = block.data
        transfer.frames += frames
        if block.last and transfer.has_data:
            transfer.last = block.block
        if not transfer.last or transfer.missing:
            return None
        self._transfers[sender] = Transfer(transfer.last + 1)
        return transfer

    def unfinished(self) -> list[Transfer]:
        """What has begun and does not end in the capture."""
        return [transfer for transfer in self._transfers.values() if transfer.has_data]


def joined(transfer: Transfer) -> bytes:
    """The APDU of a whole transfer."""
    return b"".join(transfer.blocks[number] for number in range(transfer.first, transfer.last + 1))
