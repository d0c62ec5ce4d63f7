"""The services of one open association: a plain request in, a plain answer out.

The one rule: a value that does not fit the client's APDU goes in the service's own blocks where they were agreed on;
else it is answered whole, for general block transfer; where there is none of that either, the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from drivers.dlms import apdu
from drivers.dlms.apdu import Conformance
from simulators.access import Access
from simulators.refusals import not_allowed, not_supported, too_long
from simulators.services.access import AccessService
from simulators.services.action import ActionService
from simulators.services.get import GetService
from simulators.services.set import SetService

_Answer: TypeAlias = Callable[[Any, int], bytes]
"""Given the request and the octets that its answer may have."""

_LIST: Final = int(Conformance.MULTIPLE_REFERENCES)
_GET: Final = int(Conformance.GET)
_SET: Final = int(Conformance.SET)
_SET_BLOCKS: Final = _SET | int(Conformance.BLOCK_TRANSFER_WITH_SET)
_ACTION: Final = int(Conformance.ACTION)
_ACTION_BLOCKS: Final = _ACTION | int(Conformance.BLOCK_TRANSFER_WITH_ACTION)
_ACCESS: Final = int(Conformance.ACCESS)


class Services:
    """Answers what was agreed on, `access.conformance`."""

    def __init__(self, access: Access) -> None:
        get, set_ = GetService(access), SetService(access)
        action, several = ActionService(access), AccessService(access)
        known: dict[type[apdu.Apdu], tuple[int, _Answer]] = {
            apdu.GetRequestNormal: (_GET, get.normal),
            apdu.GetRequestNext: (_GET, get.next),
            apdu.GetRequestWithList: (_GET | _LIST, get.with_list),
            apdu.SetRequestNormal: (_SET, set_.normal),
            apdu.SetRequestFirstBlock: (_SET_BLOCKS, set_.first_block),
            apdu.SetRequestBlock: (_SET_BLOCKS, set_.block),
            apdu.SetRequestWithList: (_SET | _LIST, set_.with_list),
            apdu.SetRequestWithListFirstBlock: (_SET_BLOCKS | _LIST, set_.with_list_first_block),
            apdu.ActionRequestNormal: (_ACTION, action.normal),
            apdu.ActionRequestNextBlock: (_ACTION_BLOCKS, action.next),
            apdu.ActionRequestWithList: (_ACTION | _LIST, action.with_list),
            apdu.ActionRequestFirstBlock: (_ACTION_BLOCKS, action.first_block),
            apdu.ActionRequestWithListFirstBlock: (_ACTION_BLOCKS | _LIST, action.with_list_first_block),
            apdu.ActionRequestBlock: (_ACTION_BLOCKS, action.block),
            apdu.AccessRequest: (_ACCESS, several.answer),
        }
        agreed = int(access.conformance)
        self._served = {kind: answer for kind, (needed, answer) in known.items() if not needed & ~agreed}
        self._not_agreed = known.keys() - self._served.keys()
        self._by_blocks = Conformance.GENERAL_BLOCK_TRANSFER in access.conformance

    def answer(self, request: apdu.Apdu, room: int) -> bytes:
        """The answer, of at most `room` octets unless general block transfer will cut it. Excepted, ProtocolError."""
        answer = self._served.get(type(request))
        if answer is None:
            raise not_supported() if type(request) in self._not_agreed else not_allowed()
        octets = answer(request, room)
        if len(octets) > room and not self._by_blocks:
            raise too_long()
        return octets
