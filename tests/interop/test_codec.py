"""APDUs as we encode them, decoded and encoded again by another implementation: the same service, the same octets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import ActionResult, Apdu, DataResult, SelectedAttribute
from profiles.objects import AttributeRef, CaptureObject, MethodRef, Obis

PYDLMS_CODEC = Path(__file__).with_name("pydlms_codec.py")

CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
LOAD = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)
SCRIPT = MethodRef(9, Obis(0, 0, 10, 0, 107), 1)
STAMP = bytes.fromhex("07ea0101040f0000ff800000")
RANGE = apdu.range_selection(CaptureObject(*CLOCK), STAMP, STAMP, [CaptureObject(3, Obis(1, 0, 1, 29, 0), 2)])
ENTRIES = apdu.entry_selection(1, 4, 2, 3)
BOTH = (SelectedAttribute(LOAD, RANGE), SelectedAttribute(CLOCK))
NUMBERS = axdr.array([axdr.int32(-1), axdr.int32(2)])
TEXT = axdr.structure(axdr.visible_string("HEADEND"), axdr.bit_string("1000111111"), axdr.float64(0.5), axdr.enum(30))

APDUS: list[tuple[str, Apdu]] = [
    ("InitiateRequest", apdu.InitiateRequest(0x007E1F, 1200, bytes(range(16)))),
    ("InitiateResponse", apdu.InitiateResponse(0x00501F, 500)),
    ("GetRequestNormal", apdu.GetRequestNormal(0xC1, LOAD, RANGE)),
    ("GetRequestNext", apdu.GetRequestNext(0xC1, 0x102)),
    ("GetRequestWithList", apdu.GetRequestWithList(0xC1, BOTH)),
    ("GetResponseNormal", apdu.GetResponseNormal(0xC1, TEXT)),
    ("GetResponseWithDatablock", apdu.GetResponseBlock(0xC1, True, 3, b"\x01\x02\x03")),
    ("GetResponseWithDatablock", apdu.GetResponseBlock(0xC1, True, 3, error=19)),
    ("GetResponseWithList", apdu.GetResponseWithList(0xC1, (DataResult(NUMBERS), DataResult(error=4)))),
    ("SetRequestNormal", apdu.SetRequestNormal(0xC1, LOAD, NUMBERS, ENTRIES)),
    ("SetRequestWithFirstDatablock", apdu.SetRequestFirstBlock(0xC1, CLOCK, False, 1, b"\x09\x0c", None)),
    ("SetRequestWithDatablock", apdu.SetRequestBlock(0xC1, True, 2, bytes(200))),
    ("SetRequestWithList", apdu.SetRequestWithList(0xC1, BOTH, (NUMBERS, TEXT))),
    ("SetRequestWithListAndFirstDatablock", apdu.SetRequestWithListFirstBlock(0xC1, BOTH, False, 1, b"\x02")),
    ("SetResponseNormal", apdu.SetResponseNormal(0xC1, 3)),
    ("SetResponseDatablock", apdu.SetResponseBlock(0xC1, 7)),
    ("SetResponseLastDatablock", apdu.SetResponseLastBlock(0xC1, 0, 8)),
    ("SetResponseLastDatablockWithList", apdu.SetResponseLastBlockWithList(0xC1, (0, 11), 8)),
    ("SetResponseWithList", apdu.SetResponseWithList(0xC1, (0, 3))),
    ("ActionRequestNormal", apdu.ActionRequestNormal(0xC1, SCRIPT, axdr.uint16(1))),
    ("ActionRequestNextPblock", apdu.ActionRequestNextBlock(0xC1, 1)),
    ("ActionRequestWithList", apdu.ActionRequestWithList(0xC1, (SCRIPT, SCRIPT), (axdr.uint16(1), axdr.null()))),
    ("ActionRequestWithFirstPblock", apdu.ActionRequestFirstBlock(0xC1, SCRIPT, False, 1, b"\x09\x20")),
    (
        "ActionRequestWithListAndFirstPblock",
        apdu.ActionRequestWithListFirstBlock(0xC1, (SCRIPT, SCRIPT), False, 1, b"\x02"),
    ),
    ("ActionRequestWithPblock", apdu.ActionRequestBlock(0xC1, True, 2, b"\x01\x02")),
    ("ActionResponseNormal", apdu.ActionResponseNormal(0xC1, 0, NUMBERS)),
    ("ActionResponseWithPblock", apdu.ActionResponseBlock(0xC1, False, 1, b"\x01")),
    (
        "ActionResponseWithList",
        apdu.ActionResponseWithList(0xC1, (ActionResult(0, NUMBERS), ActionResult(3), ActionResult(0, error=4))),
    ),
    ("ActionResponseNextPblock", apdu.ActionResponseNextBlock(0xC1, 1)),
    (
        "AccessRequest",
        apdu.AccessRequest(
            0x40000001,
            (
                apdu.AccessGet(CLOCK),
                apdu.AccessGet(LOAD, RANGE),
                apdu.AccessSet(CLOCK),
                apdu.AccessSet(LOAD, ENTRIES),
                apdu.AccessAction(SCRIPT),
            ),
            (axdr.null(), axdr.null(), axdr.octet_string(STAMP), NUMBERS, axdr.uint16(1)),
            STAMP,
        ),
    ),
    (
        "AccessResponse",
        apdu.AccessResponse(
            0x40000001,
            (TEXT, axdr.null(), axdr.null()),
            (apdu.AccessResult(1, 0), apdu.AccessResult(2, 3), apdu.AccessResult(3, 250)),
            (apdu.AccessGet(CLOCK), apdu.AccessSet(CLOCK), apdu.AccessAction(SCRIPT)),
        ),
    ),
    ("EventNotificationRequest", apdu.EventNotification(CLOCK, TEXT, STAMP)),
    ("DataNotification", apdu.DataNotification(0x40000001, TEXT, STAMP)),
    ("DataNotification", apdu.DataNotification(1, NUMBERS, STAMP, tagged=True)),
    ("ExceptionResponse", apdu.ExceptionResponse(1, 6, 0x12345)),
    ("ConfirmedServiceError", apdu.ConfirmedServiceError(1, 6, 1)),
]


def test_pydlms_reads_every_service_as_we_write_it(run: Callable[..., CompletedProcess[str]]) -> None:
    given = "".join(f"{value.encode().hex()}\n" for _, value in APDUS)
    read = [json.loads(line) for line in run("python", PYDLMS_CODEC, given=given).stdout.splitlines()]
    assert read == [[name, value.encode().hex()] for name, value in APDUS]
