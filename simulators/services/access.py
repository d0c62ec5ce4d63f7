"""ACCESS: reads, writes and methods in one request, in their order (Green Book, clause 9.3.9).

The one rule: there is a datum and a result for each specification. Where the request asks to break on error, what
comes after the first failure is not done, and its result is other-reason.
"""

from __future__ import annotations

from typing import Final

from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import (
    AccessAction,
    AccessGet,
    AccessResult,
    AccessSet,
    AccessSpecification,
    SelectedAttribute,
)
from drivers.dlms.apdu.access import ACTION, GET, SET
from profiles.errors import ProtocolError
from simulators.access import Access
from simulators.refusals import Result

BREAK_ON_ERROR: Final = 0x2000_0000
SELF_DESCRIPTIVE: Final = 0x1000_0000
"""Bits of the long-invoke-id-and-priority: stop at the first failure; repeat the specifications in the answer."""


class AccessService:
    """ACCESS in one association."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def answer(self, request: apdu.AccessRequest, room: int) -> bytes:
        if len(request.data) != len(request.specifications):
            raise ProtocolError("as many data as specifications make an access-request")
        data, results = [], []
        broken = False
        for specification, given in zip(request.specifications, request.data, strict=True):
            returned, result = (None, Result.OTHER_REASON) if broken else self._do(specification, given)
            data.append(axdr.null() if returned is None else returned)
            results.append(AccessResult(_kind(specification), result))
            broken = broken or (bool(result) and bool(request.invoke_id & BREAK_ON_ERROR))
        repeated = request.specifications if request.invoke_id & SELF_DESCRIPTIVE else None
        return apdu.AccessResponse(request.invoke_id, tuple(data), tuple(results), repeated).encode()

    def _do(self, specification: AccessSpecification, given: bytes) -> tuple[bytes | None, int]:
        match specification:
            case AccessGet():
                found = self._access.read(SelectedAttribute(specification.attribute, specification.selection))
                return found.data, found.error or Result.SUCCESS
            case AccessSet():
                wanted = SelectedAttribute(specification.attribute, specification.selection)
                return None, self._access.write(wanted, given)
            case AccessAction():
                done = self._access.invoke(specification.method, given)
                return done.data, done.result


def _kind(specification: AccessSpecification) -> int:
    return {AccessGet: GET, AccessSet: SET, AccessAction: ACTION}[type(specification)]
