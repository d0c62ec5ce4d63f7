"""Every APDU, whole and in blocks, as `decode` explains it: what it says, and its data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from captured import Said, as_wrapper

from drivers.capture import Keys, Message, explain
from drivers.capture.explanation import apdu_nodes
from drivers.dlms import acse, apdu, axdr
from drivers.dlms.apdu import ActionResult, Apdu, DataResult, SelectedAttribute
from profiles.objects import AttributeRef, CaptureObject, MethodRef, Obis

CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
ENERGY = AttributeRef(3, Obis(1, 0, 1, 8, 0), 2)
LOAD = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)
STAMP = bytes.fromhex("07ea011f060f0f00ff800000")
NUMBER = axdr.uint32(12_345)


def heard(said: Said) -> list[Message]:
    return explain(as_wrapper(said), Keys()).messages


# --- what comes in blocks -------------------------------------------------------------------------------------


def cut(data: bytes, size: int = 5) -> list[tuple[bool, int, bytes]]:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [(number == len(pieces), number, piece) for number, piece in enumerate(pieces, 1)]


BOTH = (SelectedAttribute(ENERGY), SelectedAttribute(CLOCK))
METHODS = (MethodRef(9, Obis(0, 0, 10, 0, 107), 1), MethodRef(70, Obis(0, 0, 96, 3, 10), 1))
TEXT = axdr.visible_string("a longer text")
VALUES = apdu.encode_list([NUMBER, TEXT])
READ = apdu.encode_results([DataResult(NUMBER), DataResult(error=4)])
DONE = apdu.encode_action_results([ActionResult(0, NUMBER), ActionResult(3)])
N, T = {"type": "double-long-unsigned", "value": 12_345}, {"type": "visible-string", "value": "a longer text"}
NO_OBJECT = {"type": "data-access-result", "value": 4, "text": "object undefined"}
DENIED = {"type": "action-result", "value": 3, "text": "read-write denied"}

BLOCKS: dict[str, tuple[list[Apdu], Any]] = {
    "get": (
        [apdu.GetRequestNormal(0xC1, ENERGY), *(apdu.GetResponseBlock(0xC1, *one) for one in cut(TEXT))],
        T,
    ),
    "get list": (
        [apdu.GetRequestWithList(0xC1, BOTH), *(apdu.GetResponseBlock(0xC1, *one) for one in cut(READ))],
        [N, NO_OBJECT],
    ),
    "set": (
        [
            apdu.SetRequestFirstBlock(0xC1, CLOCK, *cut(TEXT)[0]),
            *(apdu.SetRequestBlock(0xC1, *one) for one in cut(TEXT)[1:]),
        ],
        T,
    ),
    "set list": (
        [
            apdu.SetRequestWithListFirstBlock(0xC1, BOTH, *cut(VALUES)[0]),
            *(apdu.SetRequestBlock(0xC1, *one) for one in cut(VALUES)[1:]),
        ],
        [N, T],
    ),
    "action": (
        [
            apdu.ActionRequestFirstBlock(0xC1, METHODS[0], *cut(TEXT)[0]),
            *(apdu.ActionRequestBlock(0xC1, *one) for one in cut(TEXT)[1:]),
        ],
        T,
    ),
    "action list": (
        [
            apdu.ActionRequestWithListFirstBlock(0xC1, METHODS, *cut(VALUES)[0]),
            *(apdu.ActionRequestBlock(0xC1, *one) for one in cut(VALUES)[1:]),
        ],
        [N, T],
    ),
    "answer of an action": (
        [apdu.ActionRequestNormal(0xC1, METHODS[0]), *(apdu.ActionResponseBlock(0xC1, *one) for one in cut(TEXT))],
        T,
    ),
    "answer of a list of actions": (
        [
            apdu.ActionRequestWithList(0xC1, METHODS, (axdr.null(), axdr.null())),
            *(apdu.ActionResponseBlock(0xC1, *one) for one in cut(DONE)),
        ],
        [N, DENIED],
    ),
}


@pytest.mark.parametrize("what", BLOCKS)
def test_the_last_block_has_the_data_of_all(what: str) -> None:
    apdus, body = BLOCKS[what]
    for repeated in (apdus, [*apdus[:2], apdus[1], *apdus[2:]]):
        messages = heard([(True, value.encode()) for value in repeated])
        assert [message.problems for message in messages] == [[]] * len(messages)
        assert messages[-1].as_json()["body"] == body
        assert messages[-1].apdu == apdus[-1].name
        assert all(message.body is None for message in messages[1:-1])


@pytest.mark.parametrize("what", BLOCKS)
def test_a_missing_block_is_said_and_nothing_is_made_of_the_others(what: str) -> None:
    apdus, _ = BLOCKS[what]
    said = [(True, value.encode()) for value in (*apdus[:-2], apdus[-1])]
    messages = heard(said)
    broken = messages[-1]
    assert (broken.apdu, broken.body) == (None, None)
    assert "is due" in broken.problems[0].text


# --- every APDU -----------------------------------------------------------------------------------------------

RANGE = apdu.range_selection(CaptureObject(*CLOCK), STAMP, STAMP, [CaptureObject(*ENERGY)])
EVERY: list[tuple[Apdu, list[str], Any]] = [
    (apdu.GetRequestNormal(0xC1, LOAD, RANGE), ["rows from 2026-01-31T15:15:00 to 2026-01-31T15:15:00 by "], None),
    (apdu.GetRequestNormal(0x81, LOAD, apdu.entry_selection(2)), ["rows 2 to the end, columns 1 to the end"], None),
    (apdu.GetRequestNormal(0xC1, LOAD, b"\x09\x00"), ["selective access, selector 9"], None),
    (apdu.GetRequestNext(0xC1, 7), ["block 7"], None),
    (
        apdu.GetRequestWithList(0xC1, BOTH),
        ["2 attributes", "1.0.1.8.0.255 Active energy import · Register · value"],
        None,
    ),
    (apdu.GetResponseNormal(0xC1, NUMBER), ["double-long-unsigned 12345"], N),
    (apdu.GetResponseNormal(0xC1, error=4), ["data-access-result: object undefined"], NO_OBJECT),
    (apdu.GetResponseBlock(0xC1, True, 3, error=4), ["data-access-result: object undefined"], NO_OBJECT),
    (apdu.GetResponseWithList(0xC1, (DataResult(NUMBER), DataResult(error=4))), [], [N, NO_OBJECT]),
    (apdu.SetRequestNormal(0xC1, CLOCK, NUMBER), ["0.0.1.0.0.255 Clock · Clock · time"], N),
    (apdu.SetRequestWithList(0xC1, BOTH, (NUMBER, TEXT)), ["2 attributes"], [N, T]),
    (apdu.SetResponseNormal(0xC1, 0), [], {"type": "data-access-result", "value": 0, "text": "success"}),
    (apdu.SetResponseBlock(0xC1, 7), ["block 7"], None),
    (apdu.SetResponseLastBlock(0xC1, 4, 8), ["block 8"], NO_OBJECT),
    (apdu.SetResponseLastBlockWithList(0xC1, (4, 4), 8), ["block 8"], [NO_OBJECT] * 2),
    (apdu.SetResponseWithList(0xC1, (4,)), [], [NO_OBJECT]),
    (
        apdu.ActionRequestNormal(0xC1, METHODS[1], NUMBER),
        ["0.0.96.3.10.255 Disconnect control · Disconnect control"],
        N,
    ),
    (apdu.ActionRequestNormal(0xC1, METHODS[1]), [], None),
    (apdu.ActionRequestNextBlock(0xC1, 1), ["block 1"], None),
    (apdu.ActionRequestWithList(0xC1, METHODS, (NUMBER, TEXT)), ["2 methods"], [N, T]),
    (apdu.ActionResponseNormal(0xC1, 0, NUMBER), [], N),
    (apdu.ActionResponseNormal(0xC1, 3), ["action-result: read-write denied"], DENIED),
    (apdu.ActionResponseNormal(0xC1, 0, error=4), [], NO_OBJECT),
    (apdu.ActionResponseWithList(0xC1, (ActionResult(0, NUMBER), ActionResult(3))), [], [N, DENIED]),
    (apdu.ActionResponseNextBlock(0xC1, 1), ["block 1"], None),
    (
        apdu.AccessRequest(
            0x4000_0001,
            (apdu.AccessGet(LOAD, RANGE), apdu.AccessSet(CLOCK), apdu.AccessAction(METHODS[0])),
            (axdr.null(), NUMBER, TEXT),
            STAMP,
        ),
        ["3 accesses", "get: 1.0.99.1.0.255", "set: 0.0.1.0.0.255", "action: ", "date-time 2026-01-31T15:15:00"],
        [{"type": "null-data", "value": None}, N, T],
    ),
    (
        apdu.AccessResponse(
            0x4000_0001,
            (NUMBER, axdr.null(), axdr.null()),
            (apdu.AccessResult(1, 0), apdu.AccessResult(2, 4), apdu.AccessResult(3, 3)),
            (apdu.AccessGet(ENERGY), apdu.AccessSet(CLOCK), apdu.AccessAction(METHODS[0])),
        ),
        ["1.0.1.8.0.255 Active energy import · Register · value: double-long-unsigned 12345"],
        [N, NO_OBJECT, DENIED],
    ),
    (apdu.EventNotification(ENERGY, NUMBER, STAMP), ["date-time 2026-01-31T15:15:00"], N),
    (apdu.DataNotification(0xC000_0005, NUMBER, STAMP), ["invoke-id 5, confirmed, high priority"], N),
    (apdu.DataNotificationConfirm(5), ["invoke-id 5, unconfirmed, normal priority"], None),
    (
        apdu.ExceptionResponse(1, 6, 99),
        ["service not allowed: invocation counter error, expected invocation counter 99"],
        None,
    ),
    (apdu.ConfirmedServiceError(1, 6, 1), ["initiate: DLMS version too low"], None),
    (apdu.InitiateRequest(0x10, 0), ["conformance 000010: get", "APDUs of at most any number of octets"], None),
    (apdu.InitiateResponse(0x10, 1024), ["APDUs of at most 1024 octets"], None),
    (apdu.GeneralBlockTransfer(True, False, 1, 4, 3, b""), ["block 4, acknowledges 3, no data"], None),
]


@pytest.mark.parametrize(("value", "lines", "body"), EVERY, ids=[one[0].name for one in EVERY])
def test_every_apdu_is_explained(value: Apdu, lines: list[str], body: Any) -> None:
    (message,) = explain(value.encode(), Keys()).messages
    assert message.apdu == value.name
    assert message.problems == []
    assert message.as_json()["body"] == body
    shown = "\n".join(message.nodes[0].lines())
    for line in lines:
        assert line in shown


def test_no_kind_of_apdu_was_forgotten() -> None:
    kinds = {
        kind for kind in vars(apdu).values() if isinstance(kind, type) and is_dataclass(kind) and hasattr(kind, "name")
    }
    shown = {type(value) for value, _, _ in EVERY} | {type(value) for apdus, _ in BLOCKS.values() for value in apdus}
    carriers = {
        apdu.GatewayRequest,
        apdu.GatewayResponse,
        apdu.GeneralCiphering,
        apdu.GeneralDedCiphering,
        apdu.GeneralGloCiphering,
        apdu.GeneralSigning,
        apdu.ServiceCiphered,
    }
    assert kinds - carriers == shown
    data = {"data", "values", "parameters", "results", "result", "error", "tagged"}
    for value, _, _ in EVERY:
        if not isinstance(value, apdu.ExceptionResponse | apdu.ConfirmedServiceError | apdu.GeneralBlockTransfer):
            plain = {each.name for each in fields(value)} - data
            assert len(apdu_nodes(value)) > 0 or not plain


def test_a_rejected_association_says_why() -> None:
    for diagnostic, told in ((13, "authentication failed"), (1, "no reason given")):
        aare = acse.encode_aare(result=1, diagnostic=diagnostic)
        (message,) = explain(aare, Keys()).messages
        shown = "\n".join(message.nodes[0].lines())
        assert "result: rejected for good" in shown
        assert told in shown


def test_columns_that_the_capture_describes_head_the_buffer() -> None:
    columns = [
        axdr.structure(axdr.uint16(class_id), axdr.octet_string(bytes(obis)), axdr.int8(attribute), axdr.uint16(0))
        for class_id, obis, attribute in (CLOCK, ENERGY)
    ]
    rows = [axdr.structure(axdr.octet_string(STAMP), axdr.uint32(number)) for number in (1, 2)]
    said: Iterable[Apdu] = (
        apdu.GetRequestNormal(0xC1, LOAD._replace(attribute=3)),
        apdu.GetResponseNormal(0xC1, axdr.array(columns)),
        apdu.GetRequestNormal(0xC2, LOAD),
        apdu.GetResponseNormal(0xC2, axdr.array(rows)),
    )
    messages = heard([(True, value.encode()) for value in said])
    shown = [line.strip() for line in messages[3].nodes[0].lines()]
    assert shown[-6:] == [
        "columns",
        "0.0.1.0.0.255 Clock · time",
        "1.0.1.8.0.255 Active energy import · value",
        "array of 2",
        "row: 2026-01-31T15:15:00, 1",
        "row: 2026-01-31T15:15:00, 2",
    ]
