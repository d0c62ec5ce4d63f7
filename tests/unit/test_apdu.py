"""xDLMS APDUs both ways, selections, and result codes in words."""

from __future__ import annotations

import pytest
from dlms_cosem.protocol import xdlms
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import (
    ActionRequestNormal,
    ActionResponseNormal,
    Apdu,
    ConfirmedServiceError,
    Conformance,
    ExceptionResponse,
    GetRequestNext,
    GetRequestNormal,
    GetResponseBlock,
    GetResponseNormal,
    InitiateRequest,
    InitiateResponse,
)
from profiles.errors import ProtocolError
from profiles.objects import AttributeRef, CaptureObject, MethodRef, Obis

CLOCK = CaptureObject(8, Obis(0, 0, 1, 0, 0, 255), 2)
LOAD = AttributeRef(7, Obis(1, 0, 99, 1, 0, 255), 2)
START = bytes.fromhex("07ea0101040f0000ff800000")
END = bytes.fromhex("07ea010204000000ff800000")

KNOWN: list[tuple[str, Apdu]] = [
    ("01 00 00 00 06 5f1f0400 007e1f 04b0", InitiateRequest(0x007E1F, 1200)),
    (
        "01 01 10 00112233445566778899aabbccddeeff 0100 01 fe 06 5f1f0400 00101d ffff",
        InitiateRequest(0x00101D, 65535, bytes.fromhex("00112233445566778899aabbccddeeff"), False, -2),
    ),
    ("08 00 06 5f1f0400 000010 0230 0007", InitiateResponse(0x10, 560)),
    ("08 01 00 06 5f1f0400 00501f 01f4 0007", InitiateResponse(0x501F, 500, quality_of_service=0)),
    ("c0 01 c1 0008 0000010000ff 02 00", GetRequestNormal(0xC1, AttributeRef(8, CLOCK.obis, 2))),
    (
        "c0 01 81 0003 0100010800ff ff 01 02 0200",
        GetRequestNormal(0x81, AttributeRef(3, Obis(1, 0, 1, 8, 0), -1), b"\x02\x02\x00"),
    ),
    ("c0 02 c1 00000102", GetRequestNext(0xC1, 0x102)),
    ("c4 01 c1 00 06000006b3", GetResponseNormal(0xC1, bytes.fromhex("06000006b3"))),
    ("c4 01 c1 01 04", GetResponseNormal(0xC1, error=4)),
    ("c4 02 c1 00 00000001 00 03 010203", GetResponseBlock(0xC1, False, 1, b"\x01\x02\x03")),
    ("c4 02 c1 01 ffffffff 00 00", GetResponseBlock(0xC1, True, 0xFFFFFFFF, b"")),
    ("c4 02 c1 01 00000002 01 13", GetResponseBlock(0xC1, True, 2, error=19)),
    (
        "c3 01 c1 000f 0000280003ff 01 01 090101",
        ActionRequestNormal(0xC1, MethodRef(15, Obis(0, 0, 40, 0, 3), 1), b"\x09\x01\x01"),
    ),
    (
        "c3 01 c1 0046 000060030aff 0a 00",
        ActionRequestNormal(0xC1, MethodRef(70, Obis(0, 0, 96, 3, 10), 10)),
    ),
    ("c7 01 c1 00 01 00 090101", ActionResponseNormal(0xC1, 0, b"\x09\x01\x01")),
    ("c7 01 c1 03 00", ActionResponseNormal(0xC1, 3)),
    ("c7 01 c1 00 01 01 fa", ActionResponseNormal(0xC1, 0, error=250)),
    ("d8 01 02", ExceptionResponse(1, 2)),
    ("d8 01 06 00012345", ExceptionResponse(1, 6, 0x12345)),
    ("d8 01 06", ExceptionResponse(1, 6)),
    ("0e 01 06 01", ConfirmedServiceError(1, 6, 1)),
]


@pytest.mark.parametrize(("octets", "value"), KNOWN)
def test_an_apdu_is_decoded_and_encoded_to_the_same_octets(octets: str, value: Apdu) -> None:
    assert apdu.decode(bytes.fromhex(octets)) == value
    assert value.encode() == bytes.fromhex(octets)


@pytest.mark.parametrize("octets", [octets for octets, _ in KNOWN])
def test_an_apdu_truncated_at_any_octet_is_refused_or_another_whole_one(octets: str) -> None:
    """What ends in COSEM data can't know that the data was cut; whoever decodes the data does."""
    whole = bytes.fromhex(octets)
    for size in range(len(whole)):
        try:
            value = apdu.decode(whole[:size])
        except ProtocolError:
            continue
        cut = getattr(value, "data", None) or getattr(value, "parameters", None) or getattr(value, "selection", None)
        assert cut is not None or value == ExceptionResponse(1, 6)


@pytest.mark.parametrize("octets", [octets for octets, value in KNOWN if not getattr(value, "data", None)])
def test_octets_left_over_are_refused(octets: str) -> None:
    whole = bytes.fromhex(octets)
    ends_in_data = whole[0] in (0xC0, 0xC3) and whole[1] == 1 and len(whole) > 13
    if not ends_in_data and whole != bytes.fromhex("d80106"):
        with pytest.raises(ProtocolError, match="octets too many"):
            apdu.decode(whole + b"\x00")


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        ("", "an empty APDU"),
        ("c4", "begins c4"),
        ("c404c100", "begins c404"),
        ("d6", "begins d6"),
        ("c401c102", "where 0 or 1 has to stand"),
        ("c402c100000000010084ffffffff00", "length 4294967295"),
        ("c402c1000000000100050102", "length 5"),
        ("080006 5f1f0300 000010 0230 0007", "conformance block begins 5f1f0300"),
        ("0184ffffffff", "where 0 or 1 has to stand"),
        ("010184ffffffff", "length 4294967295"),
        ("d80100000000", "octets too many"),
    ],
)
def test_a_malformed_apdu_is_refused_by_what_is_wrong_with_it(octets: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        apdu.decode(bytes.fromhex(octets))


def test_a_malformed_initiate_response_is_refused_without_a_word_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ProtocolError):
        apdu.decode(bytes.fromhex("0800065f1f0300000010023000 07"))
    assert capsys.readouterr().out == ""


def test_a_result_is_data_or_an_error_never_both_or_neither() -> None:
    for neither_nor in (GetResponseNormal(1), GetResponseNormal(1, b"\x00", 0)):
        with pytest.raises(ValueError, match="one of the two"):
            neither_nor.encode()


def test_a_dedicated_key_is_not_shown() -> None:
    request = InitiateRequest(0x10, 1200, dedicated_key=b"\xde\xad" * 8)
    assert "dead" not in repr(request)
    assert "\\xde" not in repr(request)


_OCTET = st.integers(0, 255)
_UINT16 = st.integers(0, 0xFFFF)
_UINT32 = st.integers(0, 0xFFFFFFFF)
_UINT24 = st.integers(0, 0xFFFFFF)
_OBIS = st.builds(Obis, _OCTET, _OCTET, _OCTET, _OCTET, _OCTET, _OCTET)
_INDEX = st.integers(-128, 127)
_DATA = st.binary(min_size=1, max_size=300)
_QUALITY = st.none() | st.integers(-128, 127)

APDUS: st.SearchStrategy[Apdu] = st.one_of(
    st.builds(InitiateRequest, _UINT24, _UINT16, st.none() | st.binary(max_size=40), st.booleans(), _QUALITY, _OCTET),
    st.builds(InitiateResponse, _UINT24, _UINT16, _QUALITY, _OCTET, _UINT16),
    st.builds(GetRequestNormal, _OCTET, st.builds(AttributeRef, _UINT16, _OBIS, _INDEX), st.none() | _DATA),
    st.builds(GetRequestNext, _OCTET, _UINT32),
    st.builds(GetResponseNormal, _OCTET, _DATA),
    st.builds(GetResponseNormal, _OCTET, st.none(), _OCTET),
    st.builds(GetResponseBlock, _OCTET, st.booleans(), _UINT32, st.binary(max_size=300)),
    st.builds(GetResponseBlock, _OCTET, st.booleans(), _UINT32, st.none(), _OCTET),
    st.builds(ActionRequestNormal, _OCTET, st.builds(MethodRef, _UINT16, _OBIS, _INDEX), st.none() | _DATA),
    st.builds(ActionResponseNormal, _OCTET, _OCTET, st.none() | _DATA),
    st.builds(ActionResponseNormal, _OCTET, _OCTET, st.none(), _OCTET),
    st.builds(ExceptionResponse, _OCTET, st.just(6), st.none() | _UINT32),
    st.builds(ExceptionResponse, _OCTET, st.integers(0, 5)),
    st.builds(ConfirmedServiceError, _OCTET, _OCTET, _OCTET),
)


@given(APDUS)
def test_any_apdu_is_decoded_to_itself(value: Apdu) -> None:
    assert apdu.decode(value.encode()) == value


@given(
    st.sampled_from([bytes.fromhex(octets)[:2] for octets, _ in KNOWN]) | st.binary(max_size=2), st.binary(max_size=60)
)
def test_garbage_is_an_apdu_or_a_protocol_error(head: bytes, rest: bytes) -> None:
    try:
        value = apdu.decode(head + rest)
    except ProtocolError:
        return
    assert apdu.decode(value.encode()) == value


# --- against dlms-cosem, on what is well formed ---


def test_both_codecs_read_the_same_initiate_response() -> None:
    octets = InitiateResponse(0x00501D, 500).encode()
    theirs = xdlms.InitiateResponse.from_bytes(octets)
    ours = apdu.decode(octets)
    assert isinstance(ours, InitiateResponse)
    assert theirs.server_max_receive_pdu_size == ours.max_pdu
    assert int.from_bytes(theirs.negotiated_conformance.to_bytes(), "big") == ours.conformance


def test_both_codecs_read_the_same_get_and_action_responses() -> None:
    data = axdr.uint32(5)
    got = xdlms.GetResponseNormal.from_bytes(GetResponseNormal(0xC1, data).encode())
    assert got.data == data
    block = xdlms.GetResponseLastBlock.from_bytes(GetResponseBlock(0xC1, True, 3, b"abc").encode())
    assert (block.data, block.block_number) == (b"abc", 3)
    acted = xdlms.ActionResponseNormalWithData.from_bytes(ActionResponseNormal(0xC1, 0, data).encode())
    assert acted.data == data


def test_an_exception_response_carries_a_counter_above_one_octet_which_dlms_cosem_cannot() -> None:
    octets = ExceptionResponse(1, 6, 0x12345).encode()
    assert xdlms.ExceptionResponse.from_bytes(octets).invocation_counter_data == 0x12345
    with pytest.raises(ValueError, match="range"):
        xdlms.ExceptionResponse(1, 6, 0x12345).to_bytes()
    assert apdu.decode(octets) == ExceptionResponse(1, 6, 0x12345)


def test_the_conformance_bits_are_those_of_dlms_cosem() -> None:
    other_names = {
        "attribute_0_supported_with_set": Conformance.ATTRIBUTE_0_WITH_SET,
        "attribute_0_supported_with_get": Conformance.ATTRIBUTE_0_WITH_GET,
        "priority_management_supported": Conformance.PRIORITY_MANAGEMENT,
        "block_transfer_with_get_or_read": Conformance.BLOCK_TRANSFER_WITH_GET,
        "block_transfer_with_set_or_write": Conformance.BLOCK_TRANSFER_WITH_SET,
    }
    for name, position in xdlms.Conformance.conformance_bit_position.items():
        ours = other_names[name] if name in other_names else Conformance[name.upper()]
        assert ours == 1 << position
