"""ACTION: one method, a list of them, blocks both ways (Green Book, clause 9.3.8)."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.dlms import apdu
from drivers.dlms.apdu import ActionResult, Conformance
from profiles.errors import ProtocolError
from profiles.objects import MethodRef
from simulators.access import Access
from simulators.blocks import BLOCK_OCTETS, Incoming, Outgoing
from simulators.refusals import LongAction, Result


@dataclass(frozen=True, slots=True)
class _Target:
    """What blocks that come are for."""

    methods: tuple[MethodRef, ...]
    listed: bool


class ActionService:
    """ACTION in one association."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._coming: Incoming[_Target] | None = None
        self._sending: Outgoing | None = None

    def normal(self, request: apdu.ActionRequestNormal, room: int) -> bytes:
        self._coming = None
        return self._done(
            request.invoke_id, room, (self._access.invoke(request.method, request.parameters),), listed=False
        )

    def with_list(self, request: apdu.ActionRequestWithList, room: int) -> bytes:
        self._coming = None
        if len(request.parameters) != len(request.methods):
            raise ProtocolError("as many parameters as methods are to be invoked")
        results = tuple(map(self._access.invoke, request.methods, request.parameters))
        return self._done(request.invoke_id, room, results, listed=True)

    def first_block(self, request: apdu.ActionRequestFirstBlock, room: int) -> bytes:
        self._coming = Incoming(_Target((request.method,), listed=False))
        return self._take(request, self._coming, room)

    def with_list_first_block(self, request: apdu.ActionRequestWithListFirstBlock, room: int) -> bytes:
        self._coming = Incoming(_Target(request.methods, listed=True))
        return self._take(request, self._coming, room)

    def block(self, request: apdu.ActionRequestBlock, room: int) -> bytes:
        if self._coming is None:
            return apdu.ActionResponseNormal(request.invoke_id, LongAction.NOT_IN_PROGRESS).encode()
        return self._take(request, self._coming, room)

    def next(self, request: apdu.ActionRequestNextBlock, room: int) -> bytes:
        transfer = self._sending
        if transfer is None or request.block != transfer.block:
            self._sending = None
            error = LongAction.NOT_IN_PROGRESS if transfer is None else LongAction.ABORTED
            return apdu.ActionResponseNormal(request.invoke_id, error).encode()
        return self._block(request.invoke_id, transfer, room)

    def _take(
        self,
        request: apdu.ActionRequestFirstBlock | apdu.ActionRequestWithListFirstBlock | apdu.ActionRequestBlock,
        coming: Incoming[_Target],
        room: int,
    ) -> bytes:
        target, invoke_id = coming.target, request.invoke_id
        if request.block != coming.expected or not coming.add(request.data):
            self._coming = None
            return self._done(invoke_id, room, _all(target, LongAction.ABORTED), listed=target.listed)
        if not request.last:
            return apdu.ActionResponseNextBlock(invoke_id, request.block).encode()
        self._coming = None
        whole = bytes(coming.data)
        try:
            parameters = apdu.decode_values(whole) if target.listed else (whole,)
        except ProtocolError:
            parameters = ()
        if len(parameters) != len(target.methods):
            return self._done(invoke_id, room, _all(target, Result.TYPE_UNMATCHED), listed=target.listed)
        results = tuple(map(self._access.invoke, target.methods, parameters))
        return self._done(invoke_id, room, results, listed=target.listed)

    def _done(self, invoke_id: int, room: int, results: tuple[ActionResult, ...], *, listed: bool) -> bytes:
        """The answer in one piece if it can be, else the first block of what was returned."""
        self._sending = None
        answer = _answer(invoke_id, results, listed=listed)
        if len(answer) <= room:
            return answer
        if Conformance.BLOCK_TRANSFER_WITH_ACTION in self._access.conformance:
            # One method's blocks hold the data that it returned, and no result: what came so far was a success.
            self._sending = Outgoing(apdu.encode_action_results(results) if listed else results[0].data or b"")
            return self._block(invoke_id, self._sending, room)
        return answer

    def _block(self, invoke_id: int, transfer: Outgoing, room: int) -> bytes:
        last, number, piece = transfer.next(room - BLOCK_OCTETS)
        if last:
            self._sending = None
        return apdu.ActionResponseBlock(invoke_id, last, number, piece).encode()


def _answer(invoke_id: int, results: tuple[ActionResult, ...], *, listed: bool) -> bytes:
    if listed:
        return apdu.ActionResponseWithList(invoke_id, results).encode()
    return apdu.ActionResponseNormal(invoke_id, results[0].result, results[0].data, results[0].error).encode()


def _all(target: _Target, result: int) -> tuple[ActionResult, ...]:
    return (ActionResult(result),) * len(target.methods)
