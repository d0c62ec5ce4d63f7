"""xDLMS APDUs (Green Book, clause 9.5): every service that a head-end can meet, and the containers around them.

Values are frozen dataclasses with `encode()` and the standard's `name`; `decode(octets)` gives the one that the octets
are. Both directions are here, so that client and meter share one codec. COSEM data inside (attribute values,
parameters) stays encoded: its decoding belongs to whoever knows what it is. Nothing here opens what is protected.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from drivers.dlms.apdu import access, action, get, initiate, notification, protected, refusal, set, transport
from drivers.dlms.apdu.access import (
    AccessAction,
    AccessApdu,
    AccessGet,
    AccessRequest,
    AccessResponse,
    AccessResult,
    AccessSet,
    AccessSpecification,
)
from drivers.dlms.apdu.action import (
    ActionApdu,
    ActionRequestBlock,
    ActionRequestFirstBlock,
    ActionRequestNextBlock,
    ActionRequestNormal,
    ActionRequestWithList,
    ActionRequestWithListFirstBlock,
    ActionResponseBlock,
    ActionResponseNextBlock,
    ActionResponseNormal,
    ActionResponseWithList,
)
from drivers.dlms.apdu.fields import (
    ActionResult,
    DataResult,
    Readers,
    SelectedAttribute,
    decode_action_results,
    decode_results,
    decode_values,
    encode_action_results,
    encode_list,
    encode_results,
)
from drivers.dlms.apdu.get import (
    GetApdu,
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
)
from drivers.dlms.apdu.initiate import (
    DLMS_VERSION,
    VAA_NAME,
    Conformance,
    InitiateApdu,
    InitiateRequest,
    InitiateResponse,
)
from drivers.dlms.apdu.notification import (
    DataNotification,
    DataNotificationConfirm,
    EventNotification,
    Notification,
)
from drivers.dlms.apdu.protected import (
    AgreedKey,
    GeneralCiphering,
    GeneralDedCiphering,
    GeneralGloCiphering,
    GeneralHeader,
    GeneralSigning,
    IdentifiedKey,
    KeyInfo,
    ProtectedApdu,
    ServiceCiphered,
    WrappedKey,
)
from drivers.dlms.apdu.refusal import ConfirmedServiceError, ExceptionResponse, Refusal
from drivers.dlms.apdu.selection import (
    EntrySelection,
    RangeSelection,
    decode_selection,
    entry_selection,
    range_selection,
)
from drivers.dlms.apdu.set import (
    SetApdu,
    SetRequestBlock,
    SetRequestFirstBlock,
    SetRequestNormal,
    SetRequestWithList,
    SetRequestWithListFirstBlock,
    SetResponseBlock,
    SetResponseLastBlock,
    SetResponseLastBlockWithList,
    SetResponseNormal,
    SetResponseWithList,
)
from drivers.dlms.apdu.transport import GatewayRequest, GatewayResponse, GeneralBlockTransfer, TransportApdu
from drivers.dlms.axdr import Reader
from profiles.errors import ProtocolError

__all__ = [
    "DLMS_VERSION",
    "VAA_NAME",
    "AccessAction",
    "AccessGet",
    "AccessRequest",
    "AccessResponse",
    "AccessResult",
    "AccessSet",
    "AccessSpecification",
    "ActionRequestBlock",
    "ActionRequestFirstBlock",
    "ActionRequestNextBlock",
    "ActionRequestNormal",
    "ActionRequestWithList",
    "ActionRequestWithListFirstBlock",
    "ActionResponseBlock",
    "ActionResponseNextBlock",
    "ActionResponseNormal",
    "ActionResponseWithList",
    "ActionResult",
    "AgreedKey",
    "Apdu",
    "ConfirmedServiceError",
    "Conformance",
    "DataNotification",
    "DataNotificationConfirm",
    "DataResult",
    "EntrySelection",
    "EventNotification",
    "ExceptionResponse",
    "GatewayRequest",
    "GatewayResponse",
    "GeneralBlockTransfer",
    "GeneralCiphering",
    "GeneralDedCiphering",
    "GeneralGloCiphering",
    "GeneralHeader",
    "GeneralSigning",
    "GetRequestNext",
    "GetRequestNormal",
    "GetRequestWithList",
    "GetResponseBlock",
    "GetResponseNormal",
    "GetResponseWithList",
    "IdentifiedKey",
    "InitiateRequest",
    "InitiateResponse",
    "KeyInfo",
    "RangeSelection",
    "SelectedAttribute",
    "ServiceCiphered",
    "SetRequestBlock",
    "SetRequestFirstBlock",
    "SetRequestNormal",
    "SetRequestWithList",
    "SetRequestWithListFirstBlock",
    "SetResponseBlock",
    "SetResponseLastBlock",
    "SetResponseLastBlockWithList",
    "SetResponseNormal",
    "SetResponseWithList",
    "WrappedKey",
    "decode",
    "decode_action_results",
    "decode_results",
    "decode_selection",
    "decode_values",
    "encode_action_results",
    "encode_list",
    "encode_results",
    "entry_selection",
    "range_selection",
]

Apdu: TypeAlias = (
    InitiateApdu | GetApdu | SetApdu | ActionApdu | AccessApdu | Notification | Refusal | ProtectedApdu | TransportApdu
)

_READERS: Final[Readers[Apdu]] = {
    **initiate.READERS,
    **get.READERS,
    **set.READERS,
    **action.READERS,
    **access.READERS,
    **notification.READERS,
    **refusal.READERS,
    **protected.READERS,
    **transport.READERS,
}


def decode(apdu: bytes) -> Apdu:
    """The APDU that the octets are; ProtocolError on anything else, which says where, octets left over included."""
    if not apdu:
        raise ProtocolError("an empty APDU")
    # The tag alone tells most services; GET, SET and ACTION have a choice of forms behind it.
    size = 1 if apdu[:1] in _READERS else 2
    known = _READERS.get(apdu[:size])
    if known is None:
        raise ProtocolError(f"an APDU that is not known here, it begins {apdu[:2].hex()}").stopped_at(0)
    name, read = known
    reader = Reader(apdu, name, size)
    try:
        value = read(reader)
        reader.end()
    except ProtocolError as error:
        raise error.stopped_at(reader.offset) from None
    return value
