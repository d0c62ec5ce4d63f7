"""Every service in all its forms, both ways: lists, blocks, ACCESS, notifications, containers."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

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
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseBlock,
    GetResponseNormal,
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

# The standard's examples read and write 50 octets, counted in decimal, and the text "000".
FIFTY = b"\x09\x32" + bytes(int(str(number), 16) for number in range(1, 51))
ZEROS = b"\x0a\x03000"
ONE = AttributeRef(1, Obis(0, 0, 128, 0, 0), 2)
TWO = AttributeRef(1, Obis(0, 0, 128, 1, 0), 2)
BOTH = (SelectedAttribute(ONE), SelectedAttribute(TWO))
BOTH_HEX = "02 0001 0000800000ff 02 00 0001 0000800100ff 02 00"
CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
ENTRIES = apdu.entry_selection(1, 2)
SCRIPT = MethodRef(9, Obis(0, 0, 10, 0, 107), 1)
RESET = MethodRef(3, Obis(1, 0, 1, 8, 0), 1)
STAMP = bytes.fromhex("07ea0101040f0000ff800000")
TITLES = "08 4d4d4d0000bc614e 08 4d4d4d0000000001"
HEADER = GeneralHeader(b"\x01\x02", bytes.fromhex("4d4d4d0000bc614e"), bytes.fromhex("4d4d4d0000000001"))
LIST_OF_VALUES = apdu.encode_list([FIFTY, ZEROS])

SERVICES: list[tuple[str, Apdu]] = [
    # Green Book, examples of GET and SET in clause 14: normal, with blocks, with list
    ("c0 01 81 0001 0000800000ff 02 00", GetRequestNormal(0x81, ONE)),
    ("c4 01 81 00" + FIFTY.hex(), GetResponseNormal(0x81, FIFTY)),
    ("c4 02 81 00 00000001 00 1e" + FIFTY[:30].hex(), GetResponseBlock(0x81, False, 1, FIFTY[:30])),
    ("c0 02 81 00000001", GetRequestNext(0x81, 1)),
    ("c4 02 81 01 00000002 00 16" + FIFTY[30:].hex(), GetResponseBlock(0x81, True, 2, FIFTY[30:])),
    ("c0 03 81" + BOTH_HEX, GetRequestWithList(0x81, BOTH)),
    (
        "c4 03 81 02 00" + FIFTY.hex() + "00" + ZEROS.hex(),
        GetResponseWithList(0x81, (DataResult(FIFTY), DataResult(ZEROS))),
    ),
    ("c1 01 81 0001 0000800000ff 02 00" + FIFTY.hex(), SetRequestNormal(0x81, ONE, FIFTY)),
    ("c5 01 81 00", SetResponseNormal(0x81, 0)),
    (
        "c1 02 81 0001 0000800000ff 02 00 00 00000001 1c" + FIFTY[:28].hex(),
        SetRequestFirstBlock(0x81, ONE, False, 1, FIFTY[:28]),
    ),
    ("c5 02 81 00000001", SetResponseBlock(0x81, 1)),
    ("c1 03 81 01 00000002 18" + FIFTY[28:].hex(), SetRequestBlock(0x81, True, 2, FIFTY[28:])),
    ("c5 03 81 00 00000002", SetResponseLastBlock(0x81, 0, 2)),
    (
        "c1 04 81" + BOTH_HEX + "02" + FIFTY.hex() + ZEROS.hex(),
        SetRequestWithList(0x81, BOTH, (FIFTY, ZEROS)),
    ),
    ("c5 05 81 02 00 00", SetResponseWithList(0x81, (0, 0))),
    (
        "c1 05 81" + BOTH_HEX + "00 00000001 0a" + LIST_OF_VALUES[:10].hex(),
        SetRequestWithListFirstBlock(0x81, BOTH, False, 1, LIST_OF_VALUES[:10]),
    ),
    ("c5 04 81 02 00 0b 00000003", SetResponseLastBlockWithList(0x81, (0, 11), 3)),
    # selections in the middle of an APDU
    (
        "c0 03 c1 02 0007 0100630100ff 02 01" + ENTRIES.hex() + "0008 0000010000ff 02 00",
        GetRequestWithList(
            0xC1,
            (SelectedAttribute(AttributeRef(7, Obis(1, 0, 99, 1, 0), 2), ENTRIES), SelectedAttribute(CLOCK)),
        ),
    ),
    ("c4 03 c1 02 01 04 00 00", GetResponseWithList(0xC1, (DataResult(error=4), DataResult(b"\x00")))),
    (
        "c1 01 c1 0008 0000010000ff 02 01 03 11 05 090101",
        SetRequestNormal(0xC1, CLOCK, b"\x09\x01\x01", b"\x03\x11\x05"),
    ),
    (
        "c1 02 c1 0008 0000010000ff 02 01 03 11 05 01 00000001 01 00",
        SetRequestFirstBlock(0xC1, CLOCK, True, 1, b"\x00", b"\x03\x11\x05"),
    ),
    # ACTION
    ("c3 02 c1 00000001", ActionRequestNextBlock(0xC1, 1)),
    (
        "c3 03 c1 02 0009 00000a006bff 01 0003 0100010800ff 01 02 12 0001 0f 00",
        ActionRequestWithList(0xC1, (SCRIPT, RESET), (b"\x12\x00\x01", b"\x0f\x00")),
    ),
    (
        "c3 04 c1 0009 00000a006bff 01 00 00000001 02 0932",
        ActionRequestFirstBlock(0xC1, SCRIPT, False, 1, b"\x09\x32"),
    ),
    (
        "c3 05 c1 02 0009 00000a006bff 01 0003 0100010800ff 01 00 00000001 03 021200",
        ActionRequestWithListFirstBlock(0xC1, (SCRIPT, RESET), False, 1, b"\x02\x12\x00"),
    ),
    ("c3 06 c1 01 00000002 02 0102", ActionRequestBlock(0xC1, True, 2, b"\x01\x02")),
    ("c7 02 c1 00 00000001 03 010203", ActionResponseBlock(0xC1, False, 1, b"\x01\x02\x03")),
    (
        "c7 03 c1 03 00 01 00 1105 03 00 00 01 01 04",
        ActionResponseWithList(0xC1, (ActionResult(0, b"\x11\x05"), ActionResult(3), ActionResult(0, error=4))),
    ),
    ("c7 04 c1 00000001", ActionResponseNextBlock(0xC1, 1)),
    # ACCESS
    (
        "d9 40000001 00 05 01 0008 0000010000ff 02 02 0008 0000010000ff 02 03 0009 00000a006bff 01"
        "04 0008 0000010000ff 02" + ENTRIES.hex() + "05 0008 0000010000ff 02 03 1105"
        "05 00 090101 120001 00 1107",
        AccessRequest(
            0x40000001,
            (
                AccessGet(CLOCK),
                AccessSet(CLOCK),
                AccessAction(SCRIPT),
                AccessGet(CLOCK, ENTRIES),
                AccessSet(CLOCK, b"\x03\x11\x05"),
            ),
            (b"\x00", b"\x09\x01\x01", b"\x12\x00\x01", b"\x00", b"\x11\x07"),
        ),
    ),
    (
        "da 40000001 0c" + STAMP.hex() + "00 03 1105 00 00 03 01 00 02 03 03 fa",
        AccessResponse(
            0x40000001,
            (b"\x11\x05", b"\x00", b"\x00"),
            (AccessResult(1, 0), AccessResult(2, 3), AccessResult(3, 250)),
            date_time=STAMP,
        ),
    ),
    (
        "da 40000001 00 01 01 01 0008 0000010000ff 02 01 00 01 01 04",
        AccessResponse(0x40000001, (b"\x00",), (AccessResult(1, 4),), (AccessGet(CLOCK),)),
    ),
    # what comes unasked
    ("c2 00 0008 0000010000ff 02 1105", EventNotification(CLOCK, b"\x11\x05")),
    ("c2 01 0c" + STAMP.hex() + "0008 0000010000ff 02 1105", EventNotification(CLOCK, b"\x11\x05", STAMP)),
    ("c2 01 00 0008 0000010000ff 02 1105", EventNotification(CLOCK, b"\x11\x05", b"")),
    ("0f 00000001 00 0200", DataNotification(1, b"\x02\x00")),
    ("0f 40000001 0c" + STAMP.hex() + "0200", DataNotification(0x40000001, b"\x02\x00", STAMP)),
    ("0f 40000001 09 0c" + STAMP.hex() + "0200", DataNotification(0x40000001, b"\x02\x00", STAMP, tagged=True)),
    ("0f 40000001 09 00 0200", DataNotification(0x40000001, b"\x02\x00", tagged=True)),
    ("10 40000001 00", DataNotificationConfirm(0x40000001)),
    ("10 40000001 0c" + STAMP.hex(), DataNotificationConfirm(0x40000001, STAMP)),
    # containers
    ("c8 05 3000000001", ServiceCiphered(0xC8, bytes.fromhex("3000000001"))),
    ("db 08 4d4d4d0000bc614e 05 3000000001", GeneralGloCiphering(HEADER.originator_system_title, b"0\0\0\0\1")),
    ("db 00 05 3000000001", GeneralGloCiphering(b"", b"0\0\0\0\1")),
    ("dc 08 4d4d4d0000bc614e 05 3000000001", GeneralDedCiphering(HEADER.originator_system_title, b"0\0\0\0\1")),
    (f"dd 02 0102 {TITLES} 00 00 00 05 3000000001", GeneralCiphering(HEADER, None, b"0\0\0\0\1")),
    (f"dd 02 0102 {TITLES} 00 00 01 00 01 01 30", GeneralCiphering(HEADER, IdentifiedKey(1), b"0")),
    (
        f"dd 02 0102 {TITLES} 00 00 01 01 00 03 aabbcc 01 30",
        GeneralCiphering(HEADER, WrappedKey(0, b"\xaa\xbb\xcc"), b"0"),
    ),
    (f"dd 02 0102 {TITLES} 00 00 01 02 01 02 00 01 31", GeneralCiphering(HEADER, AgreedKey(b"\x02", b""), b"1")),
    (f"df 02 0102 {TITLES} 00 00 03 d80102 02 abcd", GeneralSigning(HEADER, b"\xd8\x01\x02", b"\xab\xcd")),
    ("e0 c3 0001 0002 03 010203", GeneralBlockTransfer(True, True, 3, 1, 2, b"\x01\x02\x03")),
    ("e0 3f ffff 0000 00", GeneralBlockTransfer(False, False, 63, 0xFFFF, 0, b"")),
    ("e6 00 02 3132 d80102", GatewayRequest(0, b"12", b"\xd8\x01\x02")),
    ("e7 01 00 d80102", GatewayResponse(1, b"", b"\xd8\x01\x02")),
]

# What ends in COSEM data can't know that the data was cut; whoever decodes the data does.
OPEN_ENDED = {GetResponseNormal: "data", SetRequestNormal: "data", EventNotification: "data", DataNotification: "data"}


@pytest.mark.parametrize(("octets", "value"), SERVICES)
def test_a_service_is_decoded_and_encoded_to_the_same_octets(octets: str, value: Apdu) -> None:
    assert apdu.decode(bytes.fromhex(octets)) == value
    assert value.encode().hex() == bytes.fromhex(octets).hex()


@pytest.mark.parametrize(("octets", "value"), SERVICES)
def test_a_service_truncated_at_any_octet_is_refused_here_or_by_the_decoder_of_its_data(
    octets: str, value: Apdu
) -> None:
    whole = bytes.fromhex(octets)
    for size in range(len(whole)):
        try:
            cut = apdu.decode(whole[:size])
        except ProtocolError:
            continue
        if isinstance(cut, GatewayRequest | GatewayResponse):
            assert whole[:size].endswith(cut.apdu)
            continue
        assert type(cut) is type(value)
        with pytest.raises(ProtocolError):
            axdr.decode(getattr(cut, OPEN_ENDED[type(cut)]))


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        (octets, value)
        for octets, value in SERVICES
        if type(value) not in (*OPEN_ENDED, GatewayRequest, GatewayResponse)
    ],
)
def test_octets_after_a_service_are_refused(octets: str, value: Apdu) -> None:
    with pytest.raises(ProtocolError, match=rf"^{value.name}: 1 octets too many"):
        apdu.decode(bytes.fromhex(octets) + b"\x00")


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        ("c003c184ffffffff", "get-request-with-list: length 4294967295"),
        ("c403c101020000", "where 0 or 1 has to stand"),
        ("c403c1010008", "tag 8 at octet 5 is not a type"),
        ("c403c102001105 00", "ends inside a value"),
        ("c505c183010000" + "00" * 65536, "a list of 65536"),
        ("c104c1 01 0001 0000800000ff 02 00 01 0984ffffffff", "a string of 4294967295 octets"),
        ("d9 40000001 05 0102030405 00 00", "a date-time of 5 octets"),
        ("d9 40000001 00 01 06 0008 0000010000ff 02 00", "an access of kind 6"),
        ("da 40000001 00 00 00 01 04 00", "a result of kind 4"),
        ("da 40000001 00 02", "where 0 or 1 has to stand"),
        ("0f 40000001 0b 0000", "length 11"),
        ("0f 40000001 02 0000 0200", "a date-time of 2 octets"),
        ("0f 40000001", "ends at octet 5"),
        ("0f 40000001 00", "ends where data should begin"),
        ("c2 00 0008 0000010000ff 02", "ends where data should begin"),
        ("dd 00 00 00 00 00 01 03 00", "key-info of kind 3"),
        ("c8 84ffffffff 00", "glo-get-request: length 4294967295"),
        ("e6 00 05 3132", "gateway-request: length 5"),
    ],
)
def test_a_malformed_service_is_refused_by_what_is_wrong_with_it(octets: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        apdu.decode(bytes.fromhex(octets))


def test_a_list_longer_than_any_apdu_holds_is_refused_before_it_is_built() -> None:
    octets = bytes.fromhex("c505c1") + axdr.length(10_000_000) + bytes(10_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="a list of 10000000"):
            apdu.decode(octets)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_compact_arrays_in_a_list_share_one_bound_on_elements() -> None:
    """Each stands for 90 000 elements; a list of a few hundred would take minutes, were each bounded by itself."""
    compact = b"\x13\x02" + axdr.length(9001) + b"\x11" + bytes(9000) + axdr.length(10) + bytes(10)
    octets = bytes.fromhex("c403c1") + axdr.length(300) + (b"\x00" + compact) * 300
    began = time.monotonic()
    with pytest.raises(ProtocolError, match="too many elements"):
        apdu.decode(octets)
    assert time.monotonic() - began < 20


# --- lists that came in blocks ---


def test_blocks_of_a_list_join_to_what_the_list_holds() -> None:
    results = (DataResult(FIFTY), DataResult(error=3), DataResult(b"\x00"))
    assert apdu.decode_results(apdu.encode_results(results)) == results
    acted = (ActionResult(0, ZEROS), ActionResult(3), ActionResult(0, error=250))
    assert apdu.decode_action_results(apdu.encode_action_results(acted)) == acted
    assert apdu.decode_values(LIST_OF_VALUES) == (FIFTY, ZEROS)


@pytest.mark.parametrize("decode", [apdu.decode_results, apdu.decode_action_results, apdu.decode_values])
def test_a_joined_list_that_is_cut_or_followed_is_refused(decode: Any) -> None:
    whole = {
        apdu.decode_results: "02 00 1105 01 04",
        apdu.decode_action_results: "02 00 01 00 1105 03 00",
        apdu.decode_values: "02 1105 00",
    }[decode]
    octets = bytes.fromhex(whole)
    assert len(decode(octets)) == 2
    for size in range(len(octets)):
        with pytest.raises(ProtocolError):
            decode(octets[:size])
    with pytest.raises(ProtocolError, match="1 octets too many"):
        decode(octets + b"\x00")


# --- names, tags, secrets ---


def test_every_ciphered_tag_leads_to_its_plain_one_and_names_it() -> None:
    assert tags.GLO[0xC0] == 0xC8
    assert tags.DED[0xC0] == 0xD0
    assert (tags.GLO[0x01], tags.GLO[0x08], tags.GLO[0x0E]) == (0x21, 0x28, 0x2E)
    assert len(tags.CIPHERED) == 2 * len(tags.SERVICES)
    for plain in tags.SERVICES:
        glo, ded = ServiceCiphered(tags.GLO[plain], b""), ServiceCiphered(tags.DED[plain], b"")
        assert (glo.plain_tag, glo.dedicated, ded.plain_tag, ded.dedicated) == (plain, False, plain, True)
        assert apdu.decode(glo.encode()) == glo
        assert apdu.decode(ded.encode()) == ded
    assert ServiceCiphered(0xCF, b"").name == "glo-action-response"
    assert ServiceCiphered(65, b"").name == "ded-initiateRequest"


def test_a_signature_is_over_everything_before_it() -> None:
    signing = GeneralSigning(HEADER, b"\xd8\x01\x02", b"\xab\xcd")
    assert b"\xdf" + signing.signed + b"\x02\xab\xcd" == signing.encode()


@pytest.mark.parametrize(
    "value",
    [
        SetRequestNormal(1, ONE, b"password"),
        SetRequestFirstBlock(1, ONE, False, 1, b"password"),
        SetRequestBlock(1, False, 1, b"password"),
        SetRequestWithList(1, BOTH, (b"password", b"password")),
        SetRequestWithListFirstBlock(1, BOTH, False, 1, b"password"),
        apdu.ActionRequestNormal(1, SCRIPT, b"password"),
        ActionRequestWithList(1, (SCRIPT,), (b"password",)),
        ActionRequestFirstBlock(1, SCRIPT, False, 1, b"password"),
        ActionRequestWithListFirstBlock(1, (SCRIPT,), False, 1, b"password"),
        ActionRequestBlock(1, False, 1, b"password"),
        AccessRequest(1, (AccessSet(ONE),), (b"password",)),
    ],
)
def test_what_is_written_to_a_meter_is_not_shown(value: Apdu) -> None:
    assert b"password" in value.encode()
    assert "password" not in repr(value)


def test_a_window_of_more_than_63_blocks_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="0 to 63"):
        GeneralBlockTransfer(True, False, 64, 1, 0, b"").encode()
