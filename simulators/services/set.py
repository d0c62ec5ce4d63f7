"""SET: one attribute, a list of them, requests in blocks (Green Book, clause 9.3.7)."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.dlms import apdu
from drivers.dlms.apdu import SelectedAttribute
from profiles.errors import ProtocolError
from simulators.access import Access
from simulators.blocks import Incoming
from simulators.refusals import Result


@dataclass(frozen=True, slots=True)
class _Target:
    """What blocks that come are for."""

    attributes: tuple[SelectedAttribute, ...]
    listed: bool

    def done(self, invoke_id: int, block: int, results: tuple[int, ...]) -> bytes:
        if self.listed:
            return apdu.SetResponseLastBlockWithList(invoke_id, results, block).encode()
        return apdu.SetResponseLastBlock(invoke_id, results[0], block).encode()

    def failed(self, invoke_id: int, block: int, result: int) -> bytes:
        return self.done(invoke_id, block, (result,) * len(self.attributes))


class SetService:
    """SET in one association."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._coming: Incoming[_Target] | None = None

    def normal(self, request: apdu.SetRequestNormal, room: int) -> bytes:
        self._coming = None
        wanted = SelectedAttribute(request.attribute, request.selection)
        return apdu.SetResponseNormal(request.invoke_id, self._access.write(wanted, request.data)).encode()

    def with_list(self, request: apdu.SetRequestWithList, room: int) -> bytes:
        self._coming = None
        if len(request.values) != len(request.attributes):
            raise ProtocolError("as many values as attributes are to be set")
        results = tuple(map(self._access.write, request.attributes, request.values))
        return apdu.SetResponseWithList(request.invoke_id, results).encode()

    def first_block(self, request: apdu.SetRequestFirstBlock, room: int) -> bytes:
        attribute = SelectedAttribute(request.attribute, request.selection)
        self._coming = Incoming(_Target((attribute,), listed=False))
        return self._take(request, self._coming)

    def with_list_first_block(self, request: apdu.SetRequestWithListFirstBlock, room: int) -> bytes:
        if not request.attributes:
            raise ProtocolError("a list of no attributes")
        self._coming = Incoming(_Target(request.attributes, listed=True))
        return self._take(request, self._coming)

    def block(self, request: apdu.SetRequestBlock, room: int) -> bytes:
        if self._coming is None:
            return apdu.SetResponseLastBlock(request.invoke_id, Result.NO_LONG_SET, request.block).encode()
        return self._take(request, self._coming)

    def _take(
        self,
        request: apdu.SetRequestFirstBlock | apdu.SetRequestWithListFirstBlock | apdu.SetRequestBlock,
        coming: Incoming[_Target],
    ) -> bytes:
        target, invoke_id, block = coming.target, request.invoke_id, request.block
        if block != coming.expected:
            self._coming = None
            return target.failed(invoke_id, block, Result.BLOCK_NUMBER_INVALID)
        if not coming.add(request.data):
            self._coming = None
            return target.failed(invoke_id, block, Result.LONG_SET_ABORTED)
        if not request.last:
            return apdu.SetResponseBlock(invoke_id, block).encode()
        self._coming = None
        whole = bytes(coming.data)
        try:
            values = apdu.decode_values(whole) if target.listed else (whole,)
        except ProtocolError:
            values = ()
        if len(values) != len(target.attributes):
            return target.failed(invoke_id, block, Result.TYPE_UNMATCHED)
        return target.done(invoke_id, block, tuple(map(self._access.write, target.attributes, values)))
