"""What a client asks of a meter in an open association: GET, SET, ACTION, ACCESS (Green Book, clause 9.5).

Each service is a generator (`drivers.service`). A request that is longer than the meter takes goes in blocks, an
answer may come in blocks; each block number is checked. What the meter did not agree to is not asked: AccessDenied.
A data-access-result or action-result other than success is AccessDenied with its words, and says whether asking
again can help; in lists it is for the caller, who gets all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from drivers.dlms import apdu, results
from drivers.dlms.apdu import (
    AccessResponse,
    AccessSpecification,
    ActionResult,
    Conformance,
    DataResult,
    SelectedAttribute,
)
from drivers.dlms.association import Association, Request
from drivers.service import Service
from profiles.errors import AccessDenied, ProtocolError
from profiles.objects import AttributeRef, MethodRef

MAX_TRANSFER = 16 * 1024 * 1024
"""Octets of one answer, over all its blocks: ten times a year of 15-minute rows."""

_LENGTH_OCTETS = 2
"""What the length of a piece takes beside the one octet of an empty one."""
_BLOCK_OCTETS = 11
"""What a set- or action-request with a block after the first has around its piece."""

_LONG_INVOKE_ID = 0xC000_0000
"""Confirmed, high priority (long-invoke-id-and-priority)."""

_A = TypeVar("_A")


class Client(Association):
    """An association, and the services that it offers."""

    # -- GET --------------------------------------------------------------------------------------------------

    def get(self, attribute: AttributeRef, selection: bytes | None = None) -> Service[bytes]:
        """GET one attribute, in as many blocks as the meter likes; returns its A-XDR octets.

        `selection` is from `apdu.range_selection` or `apdu.entry_selection`. Raises AccessDenied with the
        data-access-result, ProtocolError on a wrong block number or an oversized transfer.
        """
        asked = f"get {attribute}"
        self._check_selection(asked, selection)
        request = apdu.GetRequestNormal(self.next_invoke_id(), attribute, selection)
        answer = yield from self.exchange(request, asked)
        if isinstance(answer, apdu.GetResponseBlock):
            return (yield from self._joined(answer, apdu.GetResponseBlock, request.invoke_id, asked))
        answer = _as(apdu.GetResponseNormal, answer, asked)
        _refuse_error(answer.error, asked)
        if answer.data is None:
            raise ProtocolError("the answer holds neither data nor a result", asked=asked)
        return answer.data

    def get_list(self, attributes: Sequence[SelectedAttribute]) -> Service[tuple[DataResult, ...]]:
        """GET several attributes at once; a result for each, in their order."""
        asked = f"get a list of {len(attributes)} attributes"
        self._require(Conformance.MULTIPLE_REFERENCES, asked)
        for each in attributes:
            self._check_selection(asked, each.selection)
        request = apdu.GetRequestWithList(self.next_invoke_id(), tuple(attributes))
        answer = yield from self.exchange(request, asked)
        if isinstance(answer, apdu.GetResponseBlock):
            joined = yield from self._joined(answer, apdu.GetResponseBlock, request.invoke_id, asked)
            found = _decoded(apdu.decode_results, joined, asked)
        else:
            found = _as(apdu.GetResponseWithList, answer, asked).results
        return _one_each(found, attributes, asked)

    # -- SET --------------------------------------------------------------------------------------------------

    def set(self, attribute: AttributeRef, data: bytes, selection: bytes | None = None) -> Service[None]:
        """SET one attribute to `data`, in A-XDR. AccessDenied with the data-access-result."""
        asked = f"set {attribute}"
        self._require(Conformance.SET, asked)
        self._check_selection(asked, selection)
        invoke_id = self.next_invoke_id()
        whole = apdu.SetRequestNormal(invoke_id, attribute, data, selection)
        if self._in_one_piece(whole, Conformance.BLOCK_TRANSFER_WITH_SET):
            answer = yield from self.exchange(whole, asked)
        else:
            answer = yield from self._in_blocks(
                apdu.SetRequestBlock,
                lambda last, piece: apdu.SetRequestFirstBlock(invoke_id, attribute, last, 1, piece, selection),
                data,
                asked,
            )
            if isinstance(answer, apdu.SetResponseLastBlock):
                _refuse_error(answer.result or None, asked)
                return
        _refuse_error(_as(apdu.SetResponseNormal, answer, asked).result or None, asked)

    def set_list(self, attributes: Sequence[SelectedAttribute], values: Sequence[bytes]) -> Service[tuple[int, ...]]:
        """SET several attributes at once; a data-access-result for each, 0 for success."""
        asked = f"set a list of {len(attributes)} attributes"
        self._require(Conformance.SET | Conformance.MULTIPLE_REFERENCES, asked)
        _check_count(values, attributes, asked)
        invoke_id, wanted = self.next_invoke_id(), tuple(attributes)
        whole = apdu.SetRequestWithList(invoke_id, wanted, tuple(values))
        if self._in_one_piece(whole, Conformance.BLOCK_TRANSFER_WITH_SET):
            answer = yield from self.exchange(whole, asked)
        else:
            answer = yield from self._in_blocks(
                apdu.SetRequestBlock,
                lambda last, piece: apdu.SetRequestWithListFirstBlock(invoke_id, wanted, last, 1, piece),
                apdu.encode_list(values),
                asked,
            )
            if isinstance(answer, apdu.SetResponseLastBlockWithList):
                return _one_each(answer.results, attributes, asked)
        return _one_each(_as(apdu.SetResponseWithList, answer, asked).results, attributes, asked)

    # -- ACTION -----------------------------------------------------------------------------------------------

    def action(self, method: MethodRef, parameters: bytes | None = None) -> Service[bytes | None]:
        """ACTION of one method; the A-XDR octets of what it returned, if anything. AccessDenied with the result."""
        asked = f"action {method}"
        self._require(Conformance.ACTION, asked)
        invoke_id = self.next_invoke_id()
        whole = apdu.ActionRequestNormal(invoke_id, method, parameters)
        if parameters is None or self._in_one_piece(whole, Conformance.BLOCK_TRANSFER_WITH_ACTION):
            answer = yield from self.exchange(whole, asked)
        else:
            answer = yield from self._in_blocks(
                apdu.ActionRequestBlock,
                lambda last, piece: apdu.ActionRequestFirstBlock(invoke_id, method, last, 1, piece),
                parameters,
                asked,
            )
        if isinstance(answer, apdu.ActionResponseBlock):
            return (yield from self._joined(answer, apdu.ActionResponseBlock, invoke_id, asked))
        answer = _as(apdu.ActionResponseNormal, answer, asked)
        if answer.result != 0:
            raise AccessDenied(
                f"the meter answered {results.action_text(answer.result)}",
                asked=asked,
                retry=results.is_worth_a_retry(answer.result),
            )
        _refuse_error(answer.error, asked)
        return answer.data

    def action_list(
        self, methods: Sequence[MethodRef], parameters: Sequence[bytes]
    ) -> Service[tuple[ActionResult, ...]]:
        """ACTION of several methods, `parameters` in A-XDR for each (null-data where it has none); a result each."""
        asked = f"action of a list of {len(methods)} methods"
        self._require(Conformance.ACTION | Conformance.MULTIPLE_REFERENCES, asked)
        _check_count(parameters, methods, asked)
        invoke_id, wanted = self.next_invoke_id(), tuple(methods)
        whole = apdu.ActionRequestWithList(invoke_id, wanted, tuple(parameters))
        if self._in_one_piece(whole, Conformance.BLOCK_TRANSFER_WITH_ACTION):
            answer = yield from self.exchange(whole, asked)
        else:
            answer = yield from self._in_blocks(
                apdu.ActionRequestBlock,
                lambda last, piece: apdu.ActionRequestWithListFirstBlock(invoke_id, wanted, last, 1, piece),
                apdu.encode_list(parameters),
                asked,
            )
        if isinstance(answer, apdu.ActionResponseBlock):
            joined = yield from self._joined(answer, apdu.ActionResponseBlock, invoke_id, asked)
            return _one_each(_decoded(apdu.decode_action_results, joined, asked), methods, asked)
        return _one_each(_as(apdu.ActionResponseWithList, answer, asked).results, methods, asked)

    # -- ACCESS -----------------------------------------------------------------------------------------------

    def access(self, specifications: Sequence[AccessSpecification], data: Sequence[bytes]) -> Service[AccessResponse]:
        """ACCESS: reads, writes and methods in one request; `data` has a datum in A-XDR for each (null-data for GET).

        The answer has a datum and a result for each.
        """
        asked = f"access of {len(specifications)} attributes and methods"
        self._require(Conformance.ACCESS, asked)
        _check_count(data, specifications, asked)
        number = self.next_invoke_id() & 0x0F
        request = apdu.AccessRequest(_LONG_INVOKE_ID | number, tuple(specifications), tuple(data))
        answer = _as(AccessResponse, (yield from self.exchange(request, asked)), asked)
        _one_each(answer.results, specifications, asked)
        _one_each(answer.data, specifications, asked)
        return answer

    # -- what is common ---------------------------------------------------------------------------------------

    def _require(self, wanted: Conformance, asked: str) -> None:
        lacking = wanted & ~self.conformance
        if lacking and self.conformance:
            names = " and ".join(str(bit.name).lower().replace("_", " ") for bit in lacking)
            raise AccessDenied(f"the meter did not agree to {names} in this association", asked=asked)

    def _check_selection(self, asked: str, selection: bytes | None) -> None:
        if selection is not None and self.conformance and Conformance.SELECTIVE_ACCESS not in self.conformance:
            raise AccessDenied(
                "the meter agreed to no selective access in this association",
                asked=asked,
                remedy='set selective_access = "none" for this profile in the meter\'s type',
            )

    def _in_one_piece(self, request: Request, by_blocks: Conformance) -> bool:
        """Whether it fits, or goes by general block transfer for want of the service's own blocks."""
        return len(request.encode()) <= self.capacity or by_blocks not in self.conformance

    def _in_blocks(
        self,
        block: type[apdu.SetRequestBlock | apdu.ActionRequestBlock],
        first: Callable[[bool, bytes], Request],
        data: bytes,
        asked: str,
    ) -> Service[apdu.Apdu]:
        """Send `data` in blocks, the first as `first(last, piece)`; the answer to the last, or what broke it off."""
        size = max(self.capacity - len(first(False, b"").encode()) - _LENGTH_OCTETS, 1)
        request = first(size >= len(data), data[:size])
        sent, number = size, 1
        while True:
            answer = yield from self.exchange(request, asked)
            if not isinstance(answer, apdu.SetResponseBlock | apdu.ActionResponseNextBlock) or sent >= len(data):
                return answer
            if answer.block != number:
                raise ProtocolError(
                    f"the meter acknowledged block {answer.block}, {number} was sent", asked=asked, retry=True
                )
            number += 1
            size = max(self.capacity - _BLOCK_OCTETS, 1)
            request = block(request.invoke_id, sent + size >= len(data), number, data[sent : sent + size])
            sent += size

    def _joined(
        self,
        answer: apdu.Apdu,
        kind: type[apdu.GetResponseBlock | apdu.ActionResponseBlock],
        invoke_id: int,
        asked: str,
    ) -> Service[bytes]:
        """The data of all blocks, from the first one, which has come, to the last."""
        following = apdu.GetRequestNext if kind is apdu.GetResponseBlock else apdu.ActionRequestNextBlock
        joined = bytearray()  # a list of blocks of an octet each would take many times as much
        number = 0
        while True:
            block = _as(kind, answer, asked)
            if isinstance(block, apdu.GetResponseBlock):
                _refuse_error(block.error, asked)
            number += 1
            if block.block != number or block.data is None:
                raise ProtocolError(f"block {block.block} came where block {number} was due", asked=asked, retry=True)
            joined += block.data
            if len(joined) > MAX_TRANSFER:
                raise ProtocolError(f"more than {MAX_TRANSFER} octets came", asked=asked, retry=False)
            if block.last:
                return bytes(joined)
            if not block.data:
                raise ProtocolError(f"block {number} is empty and not the last", asked=asked, retry=True)
            answer = yield from self.exchange(following(invoke_id, number), asked)


def _as(kind: type[_A], answer: apdu.Apdu, asked: str) -> _A:
    if not isinstance(answer, kind):
        raise ProtocolError(f"{type(answer).__name__} came for {asked.split()[0].upper()}", asked=asked)
    return answer


def _refuse_error(error: int | None, asked: str) -> None:
    if error is not None:
        raise AccessDenied(
            f"the meter answered {results.data_access_text(error)}", asked=asked, retry=results.is_worth_a_retry(error)
        )


def _decoded(decode: Callable[[bytes], tuple[_A, ...]], joined: bytes, asked: str) -> tuple[_A, ...]:
    try:
        return decode(joined)
    except ProtocolError as error:
        raise error.at(asked=asked) from None


def _one_each(found: tuple[_A, ...], wanted: Sequence[object], asked: str) -> tuple[_A, ...]:
    if len(found) != len(wanted):
        raise ProtocolError(f"{len(found)} results came for {len(wanted)} asked", asked=asked)
    return found


def _check_count(given: Sequence[bytes], wanted: Sequence[object], asked: str) -> None:
    if len(given) != len(wanted):
        raise ProtocolError(f"{len(given)} values for {len(wanted)}", asked=asked, retry=False)
