"""GET: one attribute, a list of them, answers in blocks (Green Book, clause 9.3.6)."""

from __future__ import annotations

from collections.abc import Callable

from drivers.dlms import apdu
from drivers.dlms.apdu import Conformance, DataResult, SelectedAttribute
from simulators.access import Access
from simulators.blocks import BLOCK_OCTETS, Outgoing
from simulators.refusals import Result


class GetService:
    """GET in one association."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._sending: Outgoing | None = None
        self._blocks_before = 0
        """What the first block of a long answer is numbered after: meters that need a fresh association after an error
        go on counting."""

    def normal(self, request: apdu.GetRequestNormal, room: int) -> bytes:
        found = self._access.read(SelectedAttribute(request.attribute, request.selection))
        return self._fitting(
            request.invoke_id,
            room,
            (found,),
            lambda one: apdu.GetResponseNormal(request.invoke_id, one[0].data, one[0].error),
            lambda: found.data or b"",
        )

    def with_list(self, request: apdu.GetRequestWithList, room: int) -> bytes:
        found = tuple(map(self._access.read, request.attributes))
        return self._fitting(
            request.invoke_id,
            room,
            found,
            lambda all_of_them: apdu.GetResponseWithList(request.invoke_id, all_of_them),
            lambda: apdu.encode_results(found),
        )

    def next(self, request: apdu.GetRequestNext, room: int) -> bytes:
        transfer = self._sending
        if transfer is None or request.block != transfer.block:
            self._sending = None
            error = Result.NO_LONG_GET if transfer is None else Result.BLOCK_NUMBER_INVALID
            return apdu.GetResponseBlock(request.invoke_id, True, request.block, error=error).encode()
        return self._block(request.invoke_id, transfer, room)

    def _fitting(
        self,
        invoke_id: int,
        room: int,
        found: tuple[DataResult, ...],
        whole: Callable[[tuple[DataResult, ...]], apdu.GetResponseNormal | apdu.GetResponseWithList],
        raw: Callable[[], bytes],
    ) -> bytes:
        """The answer in one piece if it can be, else the first block of `raw`."""
        self._sending = None
        conformance = self._access.conformance
        if self._access.meter.meter_type.session_habit.fresh_after_error and any(one.error for one in found):
            self._blocks_before = 1
        answer = whole(found).encode()
        if len(answer) <= room:
            return answer
        if Conformance.BLOCK_TRANSFER_WITH_GET in conformance:
            self._sending = Outgoing(raw(), block=self._blocks_before)
            return self._block(invoke_id, self._sending, room)
        if Conformance.GENERAL_BLOCK_TRANSFER in conformance:
            return answer
        return whole(tuple(DataResult(None, Result.OTHER_REASON) for _ in found)).encode()

    def _block(self, invoke_id: int, transfer: Outgoing, room: int) -> bytes:
        last, number, piece = transfer.next(room - BLOCK_OCTETS)
        if last:
            self._sending = None
        return apdu.GetResponseBlock(invoke_id, last, number, piece).encode()
