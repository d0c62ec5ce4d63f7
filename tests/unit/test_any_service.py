"""Any service at all, and any octets at all: what is encoded is decoded to itself, what is not is refused."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import (
    AccessAction,
    AccessGet,
    AccessRequest,
    AccessResponse,
    AccessResult,
    AccessSet,
    ActionRequestBlock,
    ActionRequestFirstBlock,
    ActionRequestNextBlock,
    ActionRequestWithList,
    ActionRequestWithListFirstBlock,
    ActionResponseBlock,
    ActionResponseNextBlock,
    ActionResponseWithList,
    ActionResult,
    AgreedKey,
    Apdu,
    DataNotification,
    DataNotificationConfirm,
    DataResult,
    EventNotification,
    GatewayRequest,
    GatewayResponse,
    GeneralBlockTransfer,
    GeneralCiphering,
    GeneralDedCiphering,
    GeneralGloCiphering,
    GeneralHeader,
    GeneralSigning,
    GetRequestWithList,
    GetResponseWithList,
    IdentifiedKey,
    SelectedAttribute,
    ServiceCiphered,
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
    WrappedKey,
    tags,
)
from profiles.errors import ProtocolError
from profiles.objects import AttributeRef, MethodRef, Obis

_OCTET = st.integers(0, 255)
_UINT16 = st.integers(0, 0xFFFF)
_UINT32 = st.integers(0, 0xFFFFFFFF)
_OCTETS = st.binary(max_size=200)
_OBIS = st.builds(Obis, _OCTET, _OCTET, _OCTET, _OCTET, _OCTET, _OCTET)
_ATTRIBUTE = st.builds(AttributeRef, _UINT16, _OBIS, st.integers(-128, 127))
_METHOD = st.builds(MethodRef, _UINT16, _OBIS, st.integers(-128, 127))
_DATUM = st.recursive(
    st.just(axdr.null()) | _OCTETS.map(axdr.octet_string) | _UINT16.map(axdr.uint16),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: axdr.structure(*items)),
    max_leaves=4,
)
_SELECTION = st.none() | st.builds(lambda selector, datum: bytes([selector]) + datum, _OCTET, _DATUM)
_STAMP = st.just(b"") | st.binary(min_size=12, max_size=12)
_BLOCK = (st.booleans(), _UINT32, _OCTETS)


def _few(item: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(item, max_size=4).map(tuple)


_ATTRIBUTES = _few(st.builds(SelectedAttribute, _ATTRIBUTE, _SELECTION))
_RESULTS = _few(st.builds(DataResult, _DATUM) | st.builds(DataResult, st.none(), _OCTET))
_ACTION_RESULTS = _few(
    st.builds(ActionResult, _OCTET, st.none() | _DATUM) | st.builds(ActionResult, _OCTET, st.none(), _OCTET)
)
_SPECIFICATIONS = _few(
    st.builds(AccessGet, _ATTRIBUTE, _SELECTION)
    | st.builds(AccessSet, _ATTRIBUTE, _SELECTION)
    | st.builds(AccessAction, _METHOD)
)
_HEADER = st.builds(GeneralHeader, _OCTETS, _OCTETS, _OCTETS, _OCTETS, _OCTETS)
_KEY_INFO = st.one_of(
    st.none(),
    st.builds(IdentifiedKey, _OCTET),
    st.builds(WrappedKey, _OCTET, _OCTETS),
    st.builds(AgreedKey, _OCTETS, _OCTETS),
)

ANY_SERVICE: st.SearchStrategy[Apdu] = st.one_of(
    st.builds(GetRequestWithList, _OCTET, _ATTRIBUTES),
    st.builds(GetResponseWithList, _OCTET, _RESULTS),
    st.builds(SetRequestNormal, _OCTET, _ATTRIBUTE, _DATUM, _SELECTION),
    st.builds(SetRequestFirstBlock, _OCTET, _ATTRIBUTE, *_BLOCK, _SELECTION),
    st.builds(SetRequestBlock, _OCTET, *_BLOCK),
    st.builds(SetRequestWithList, _OCTET, _ATTRIBUTES, _few(_DATUM)),
    st.builds(SetRequestWithListFirstBlock, _OCTET, _ATTRIBUTES, *_BLOCK),
    st.builds(SetResponseNormal, _OCTET, _OCTET),
    st.builds(SetResponseBlock, _OCTET, _UINT32),
    st.builds(SetResponseLastBlock, _OCTET, _OCTET, _UINT32),
    st.builds(SetResponseLastBlockWithList, _OCTET, _few(_OCTET), _UINT32),
    st.builds(SetResponseWithList, _OCTET, _few(_OCTET)),
    st.builds(ActionRequestNextBlock, _OCTET, _UINT32),
    st.builds(ActionRequestWithList, _OCTET, _few(_METHOD), _few(_DATUM)),
    st.builds(ActionRequestFirstBlock, _OCTET, _METHOD, *_BLOCK),
    st.builds(ActionRequestWithListFirstBlock, _OCTET, _few(_METHOD), *_BLOCK),
    st.builds(ActionRequestBlock, _OCTET, *_BLOCK),
    st.builds(ActionResponseBlock, _OCTET, *_BLOCK),
    st.builds(ActionResponseWithList, _OCTET, _ACTION_RESULTS),
    st.builds(ActionResponseNextBlock, _OCTET, _UINT32),
    st.builds(AccessRequest, _UINT32, _SPECIFICATIONS, _few(_DATUM), _STAMP),
    st.builds(
        AccessResponse,
        _UINT32,
        _few(_DATUM),
        _few(st.builds(AccessResult, st.integers(1, 3), _OCTET)),
        st.none() | _SPECIFICATIONS,
        _STAMP,
    ),
    st.builds(EventNotification, _ATTRIBUTE, _DATUM, st.none() | _STAMP),
    st.builds(DataNotification, _UINT32, _DATUM, _STAMP, st.booleans()),
    st.builds(DataNotificationConfirm, _UINT32, _STAMP),
    st.builds(ServiceCiphered, st.sampled_from(sorted(tags.CIPHERED)), _OCTETS),
    st.builds(GeneralGloCiphering, _OCTETS, _OCTETS),
    st.builds(GeneralDedCiphering, _OCTETS, _OCTETS),
    st.builds(GeneralCiphering, _HEADER, _KEY_INFO, _OCTETS),
    st.builds(GeneralSigning, _HEADER, _OCTETS, _OCTETS),
    st.builds(GeneralBlockTransfer, st.booleans(), st.booleans(), st.integers(0, 63), _UINT16, _UINT16, _OCTETS),
    st.builds(GatewayRequest, _OCTET, _OCTETS, st.binary(min_size=1, max_size=50)),
    st.builds(GatewayResponse, _OCTET, _OCTETS, st.binary(min_size=1, max_size=50)),
)


@given(ANY_SERVICE)
def test_any_service_is_decoded_to_itself(value: Apdu) -> None:
    assert apdu.decode(value.encode()) == value


@given(ANY_SERVICE, st.data())
def test_a_service_with_one_octet_altered_is_a_service_or_a_protocol_error(value: Apdu, data: st.DataObject) -> None:
    octets = bytearray(value.encode())
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        altered = apdu.decode(bytes(octets))
    except ProtocolError:
        return
    assert apdu.decode(altered.encode()) == altered


_HEADS = [bytes([tag, form]) for tag in (0xC0, 0xC1, 0xC3, 0xC4, 0xC5, 0xC7) for form in range(1, 7)] + [
    bytes([tag]) for tag in (0x0F, 0x10, 0xC2, 0xC8, 0xD0, *range(0xD8, 0xE8))
]


@given(st.sampled_from(_HEADS) | st.binary(max_size=2), st.binary(max_size=120))
def test_garbage_is_a_service_or_a_protocol_error(head: bytes, rest: bytes) -> None:
    try:
        value = apdu.decode(head + rest)
    except ProtocolError:
        return
    assert apdu.decode(value.encode()) == value
