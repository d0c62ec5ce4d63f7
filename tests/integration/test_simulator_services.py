"""GET, SET, ACTION and ACCESS of a simulated meter: whole, in lists, in blocks; and blocks that are out of order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import pytest
from simulated import BLOCK_LOAD, BY_ENTRY, CLOCK, MESSAGE, METER_TYPE, SERIAL, SWITCH, one_meter, value

from drivers.dlms import acse, apdu, axdr
from drivers.dlms.apdu import (
    AccessAction,
    AccessGet,
    AccessResult,
    AccessSet,
    ActionResult,
    Conformance,
    DataResult,
    SelectedAttribute,
)
from drivers.dlms.block_transfer import BlockTransfer
from profiles.errors import AccessDenied
from profiles.objects import AttributeRef, MethodRef, Obis
from simulators.blocks import MAX_LONG_REQUEST
from simulators.meter import SimulatedMeter

DEMAND_PERIOD = AttributeRef(1, Obis(1, 0, 0, 8, 0), 2)
NO_SUCH = AttributeRef(1, Obis(1, 2, 3, 4, 5), 2)
DISCONNECT, RECONNECT = MethodRef(70, SWITCH, 1), MethodRef(70, SWITCH, 2)
GET_EVENTS = MethodRef(7, Obis(0, 0, 99, 98, 2), 4)
ADD_USER, REMOVE_USER = (MethodRef(15, Obis(0, 0, 40, 0, 0), number) for number in (5, 6))
ALL_EVENTS = apdu.entry_selection(1)[1:]
LONG = bytes(range(256)) * 10
"""More than any meter takes in one piece."""

PROTECTED: dict[str, Any] = {"mechanism": 5, "security_control": 0x30}
OPEN: dict[str, Any] = {"mechanism": 0, "security_control": 0}

_A = TypeVar("_A", bound=apdu.Apdu)


def user(number: int, name: str) -> bytes:
    return axdr.structure(axdr.uint8(number), axdr.visible_string(name))


# --- with our client ------------------------------------------------------------------------------------------


async def test_what_is_set_is_what_is_read() -> None:
    async with one_meter(**PROTECTED) as place, place.session() as session:
        await session.set(DEMAND_PERIOD, axdr.uint16(900))
        assert await value(session, DEMAND_PERIOD) == 900
        await session.set(MESSAGE, axdr.octet_string(LONG))
        assert await value(session, MESSAGE) == LONG


async def test_a_list_has_a_result_for_each_whether_it_is_read_written_or_done() -> None:
    async with one_meter(**PROTECTED) as place, place.session() as session:
        wanted = [SelectedAttribute(one) for one in (DEMAND_PERIOD, NO_SUCH, SERIAL)]
        assert await session.set_list(wanted, [axdr.uint16(600), axdr.null(), axdr.null()]) == (0, 4, 3)
        serial = axdr.visible_string(place.meter.identity.serial)
        found = (DataResult(axdr.uint16(600)), DataResult(None, 4), DataResult(serial))
        assert await session.get_list(wanted) == found
        methods = [DISCONNECT, MethodRef(70, SWITCH, 3), MethodRef(3, SWITCH, 1)]
        assert [each.result for each in await session.action_list(methods, [axdr.int8(0)] * 3)] == [0, 3, 9]
        assert place.meter.state.control_state == 0


async def test_lists_come_and_go_in_blocks() -> None:
    async with one_meter(**PROTECTED) as place, place.session() as session:
        wanted = [SelectedAttribute(one) for one in (MESSAGE, DEMAND_PERIOD, BLOCK_LOAD)]
        written = [axdr.octet_string(LONG), axdr.uint16(1200), axdr.array([])]
        assert await session.set_list(wanted, written) == (0, 0, 3)
        message, period, rows = await session.get_list(wanted)
        assert (message.data, period.data) == (axdr.octet_string(LONG), axdr.uint16(1200))
        assert rows.data == axdr.array(place.meter.rows(None))
        names = [user(number, "x" * 100) for number in range(20)]
        done = await session.action_list([ADD_USER] * 20 + [GET_EVENTS], [*names, ALL_EVENTS])
        assert done[:20] == (ActionResult(0),) * 20
        assert len(place.meter.state.users) == 20
        assert await session.action_list([GET_EVENTS] * 3, [ALL_EVENTS] * 3) == (done[20],) * 3


async def test_an_action_takes_and_gives_long_data_in_blocks() -> None:
    async with one_meter(**PROTECTED, max_pdu=200) as place, place.session() as session:
        events = axdr.decode(await session.action(GET_EVENTS, ALL_EVENTS) or b"")
        assert isinstance(events, list)
        assert len(events) == 12
        assert events[-1][0][:7].hex() == "07ea0103060901", "a minute after nine"
        assert {code for _, code in events} == {101, 102}
        await session.action(ADD_USER, user(7, "n" * 1000))
        assert place.meter.state.users == {7: "n" * 1000}
        await session.action(REMOVE_USER, user(7, "n" * 1000))
        assert place.meter.state.users == {}


async def test_access_does_all_that_it_is_given_in_order_and_goes_on_after_a_failure() -> None:
    async with one_meter(**PROTECTED, ciphering="general-glo") as place, place.session() as session:
        answer = await session.access(
            [
                AccessGet(SERIAL),
                AccessSet(SERIAL),
                AccessSet(DEMAND_PERIOD),
                AccessGet(DEMAND_PERIOD),
                AccessAction(DISCONNECT),
            ],
            [axdr.null(), axdr.null(), axdr.uint16(300), axdr.null(), axdr.int8(0)],
        )
        serial = axdr.visible_string(place.meter.identity.serial)
        assert answer.data == (serial, axdr.null(), axdr.null(), axdr.uint16(300), axdr.null())
        assert answer.results == tuple(map(AccessResult._make, [(1, 0), (2, 3), (2, 0), (1, 0), (3, 0)]))
        assert answer.specifications is None
        assert place.meter.state.control_state == 0


async def test_a_long_access_goes_and_comes_by_general_block_transfer() -> None:
    async with one_meter(**PROTECTED, ciphering="general-glo") as place, place.session() as session:
        answer = await session.access(
            [AccessSet(MESSAGE), AccessGet(MESSAGE), AccessGet(BLOCK_LOAD)],
            [axdr.octet_string(LONG), axdr.null(), axdr.null()],
        )
        assert answer.data == (axdr.null(), axdr.octet_string(LONG), axdr.array(place.meter.rows(None)))


@pytest.mark.parametrize("name", ["public", "meter_reader"])
async def test_who_may_only_read_changes_nothing(name: str) -> None:
    async with one_meter() as place, place.session(name) as session:
        before = await value(session, CLOCK)
        with pytest.raises(AccessDenied, match=r"denied|did not agree"):
            await session.set(CLOCK, axdr.octet_string(bytes.fromhex("07ea0101040000000000000000")))
        with pytest.raises(AccessDenied, match=r"denied|did not agree"):
            await session.action(DISCONNECT, axdr.int8(0))
        assert await value(session, CLOCK) == before
        assert place.meter.state.control_state == 1


# --- by hand, block by block ----------------------------------------------------------------------------------


NOTHING = Conformance(0)


class Client:
    """An open association without protection, without a link."""

    def __init__(self, meter: SimulatedMeter, leave_out: Conformance = NOTHING, max_pdu: int = 0) -> None:
        self.connection = meter.connect(streams=True)
        self.sap = METER_TYPE.associations["utility_setting"].client_sap
        initiate = apdu.InitiateRequest(0xFFFFFF & ~int(leave_out), max_pdu).encode()
        aarq = acse.encode_aarq(
            ciphered=False, mechanism=0, client_title=None, authentication_value=None, user_information=initiate
        )
        assert acse.decode_aare(self.raw(aarq)).result == 0

    def raw(self, octets: bytes) -> bytes:
        answer = self.connection.handle(octets, self.sap, 1)
        assert answer is not None
        return answer

    def ask(self, request: apdu.Apdu) -> apdu.Apdu:
        return apdu.decode(self.raw(request.encode()))


async def client_of_one(leave_out: Conformance = NOTHING, max_pdu: int = 0) -> tuple[Client, SimulatedMeter]:
    async with one_meter(**OPEN) as place:
        return Client(place.meter, leave_out, max_pdu), place.meter


NO_BLOCKS = (
    Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.GENERAL_BLOCK_TRANSFER
)
SET_BLOCK, ACTION_BLOCK = apdu.SetRequestBlock, apdu.ActionRequestBlock
MESSAGES = (SelectedAttribute(MESSAGE), SelectedAttribute(DEMAND_PERIOD))
TWO_USERS = apdu.encode_list([user(1, "a"), user(2, "b")])


async def test_a_write_in_blocks_is_acknowledged_block_by_block_and_done_at_the_last() -> None:
    client, meter = await client_of_one()
    data = axdr.octet_string(b"in three pieces")
    first = apdu.SetRequestFirstBlock(0xC1, MESSAGE, False, 1, data[:5])
    assert client.ask(first) == apdu.SetResponseBlock(0xC1, 1)
    assert client.ask(SET_BLOCK(0xC1, False, 2, data[5:9])) == apdu.SetResponseBlock(0xC1, 2)
    assert meter.state.message == b""
    assert client.ask(SET_BLOCK(0xC1, True, 3, data[9:])) == apdu.SetResponseLastBlock(0xC1, 0, 3)
    assert meter.state.message == b"in three pieces"
    assert client.ask(SET_BLOCK(0xC1, True, 4, b"")) == apdu.SetResponseLastBlock(0xC1, 18, 4)


async def test_a_first_block_may_be_the_last() -> None:
    client, meter = await client_of_one()
    whole = apdu.SetRequestFirstBlock(0xC1, MESSAGE, True, 1, axdr.octet_string(b"short"))
    assert client.ask(whole) == apdu.SetResponseLastBlock(0xC1, 0, 1)
    assert meter.state.message == b"short"
    method = apdu.ActionRequestFirstBlock(0xC1, ADD_USER, True, 1, user(1, "a"))
    assert client.ask(method) == apdu.ActionResponseNormal(0xC1, 0)
    assert meter.state.users == {1: "a"}


@pytest.mark.parametrize("number", [0, 1, 3, 0xFFFF_FFFF])
async def test_a_written_block_out_of_order_ends_the_write_and_changes_nothing(number: int) -> None:
    client, meter = await client_of_one()
    client.ask(apdu.SetRequestFirstBlock(0xC1, MESSAGE, False, 1, axdr.octet_string(b"abcdef")[:4]))
    assert client.ask(SET_BLOCK(0xC1, False, number, b"cd")) == apdu.SetResponseLastBlock(0xC1, 19, number)
    assert client.ask(SET_BLOCK(0xC1, True, 2, b"cdef")) == apdu.SetResponseLastBlock(0xC1, 18, 2)
    assert meter.state.message == b""
    client.ask(apdu.SetRequestWithListFirstBlock(0xC1, MESSAGES, False, 1, b"\x02"))
    assert client.ask(SET_BLOCK(0xC1, False, number, b"")) == apdu.SetResponseLastBlockWithList(0xC1, (19, 19), number)
    late = apdu.SetRequestFirstBlock(0xC1, MESSAGE, False, 2, b"\x09")
    assert client.ask(late) == apdu.SetResponseLastBlock(0xC1, 19, 2)


async def test_a_new_write_forgets_the_one_in_blocks() -> None:
    client, _ = await client_of_one()
    client.ask(apdu.SetRequestFirstBlock(0xC1, MESSAGE, False, 1, b"\x09"))
    assert client.ask(apdu.SetRequestNormal(0xC2, DEMAND_PERIOD, axdr.uint16(600))) == apdu.SetResponseNormal(0xC2, 0)
    assert client.ask(SET_BLOCK(0xC1, True, 2, b"\x00")) == apdu.SetResponseLastBlock(0xC1, 18, 2)


async def test_a_write_that_grows_too_long_is_aborted() -> None:
    client, meter = await client_of_one()
    piece = bytes(500)
    client.ask(apdu.SetRequestFirstBlock(0xC1, MESSAGE, False, 1, piece))
    number = 2
    while isinstance(answer := client.ask(SET_BLOCK(0xC1, False, number, piece)), apdu.SetResponseBlock):
        number += 1
    assert answer == apdu.SetResponseLastBlock(0xC1, 17, number)
    assert MAX_LONG_REQUEST < number * 500 <= MAX_LONG_REQUEST + 500
    client.ask(apdu.ActionRequestFirstBlock(0xC1, ADD_USER, False, 1, piece))
    answers = (client.ask(ACTION_BLOCK(0xC1, False, number, piece)) for number in range(2, number + 1))
    assert last(answers) == apdu.ActionResponseNormal(0xC1, 15)
    assert (meter.state.message, meter.state.users) == (b"", {})


def last(of: Iterable[apdu.Apdu]) -> apdu.Apdu:
    *_, one = of
    return one


async def test_blocks_that_join_to_no_list_of_values_are_no_values() -> None:
    client, _ = await client_of_one()
    for octets in (b"", b"\x02\x12\x02\x58", b"\x03" + axdr.uint16(600) * 3, axdr.uint16(600)):
        whole = apdu.SetRequestWithListFirstBlock(0xC1, MESSAGES, True, 1, octets)
        assert client.ask(whole) == apdu.SetResponseLastBlockWithList(0xC1, (12, 12), 1)
        methods = apdu.ActionRequestWithListFirstBlock(0xC1, (ADD_USER, DISCONNECT), True, 1, octets)
        assert client.ask(methods) == apdu.ActionResponseWithList(0xC1, (ActionResult(12), ActionResult(12)))
    single = apdu.SetRequestFirstBlock(0xC1, MESSAGE, True, 1, axdr.octet_string(b"x") + b"\x00")
    assert client.ask(single) == apdu.SetResponseLastBlock(0xC1, 12, 1)


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_a_parameter_block_out_of_order_aborts_the_action(number: int) -> None:
    client, meter = await client_of_one()
    client.ask(apdu.ActionRequestFirstBlock(0xC1, ADD_USER, False, 1, user(1, "a")[:3]))
    assert client.ask(ACTION_BLOCK(0xC1, False, number, b"")) == apdu.ActionResponseNormal(0xC1, 15)
    assert client.ask(ACTION_BLOCK(0xC1, True, 2, user(1, "a")[3:])) == apdu.ActionResponseNormal(0xC1, 16)
    client.ask(apdu.ActionRequestWithListFirstBlock(0xC1, (ADD_USER, ADD_USER), False, 1, TWO_USERS[:3]))
    aborted = apdu.ActionResponseWithList(0xC1, (ActionResult(15), ActionResult(15)))
    assert client.ask(ACTION_BLOCK(0xC1, False, number, b"")) == aborted
    assert meter.state.users == {}


async def test_an_answer_in_blocks_is_fetched_in_order_or_not_at_all() -> None:
    client, _ = await client_of_one(max_pdu=100)
    for number in (0, 2):
        begun = client.ask(apdu.ActionRequestNormal(0xC1, GET_EVENTS, ALL_EVENTS))
        assert isinstance(begun, apdu.ActionResponseBlock)
        assert client.ask(apdu.ActionRequestNextBlock(0xC1, number)) == apdu.ActionResponseNormal(0xC1, 15)
        assert client.ask(apdu.ActionRequestNextBlock(0xC1, 1)) == apdu.ActionResponseNormal(0xC1, 16)
        wanted = apdu.GetRequestWithList(0xC1, (SelectedAttribute(BLOCK_LOAD), SelectedAttribute(SERIAL)))
        assert isinstance(client.ask(wanted), apdu.GetResponseBlock)
        assert client.ask(apdu.GetRequestNext(0xC1, number)) == apdu.GetResponseBlock(0xC1, True, number, None, 19)
        assert client.ask(apdu.GetRequestNext(0xC1, 1)) == apdu.GetResponseBlock(0xC1, True, 1, None, 16)


async def test_a_count_of_values_that_is_not_that_of_the_list_is_no_request() -> None:
    client, meter = await client_of_one()
    unknown = apdu.ExceptionResponse(2, 3)
    assert client.ask(apdu.SetRequestWithList(0xC1, MESSAGES, (axdr.octet_string(b"x"),))) == unknown
    assert client.ask(apdu.ActionRequestWithList(0xC1, (DISCONNECT,), ())) == unknown
    assert client.ask(apdu.AccessRequest(0x4000_0001, (AccessGet(SERIAL),), ())) == unknown
    assert client.ask(apdu.SetRequestWithListFirstBlock(0xC1, (), True, 1, b"\x00")) == unknown
    assert (meter.state.message, meter.state.control_state) == (b"", 1)


@pytest.mark.parametrize(
    ("left_out", "request_"),
    [
        (Conformance.MULTIPLE_REFERENCES, apdu.GetRequestWithList(0xC1, (SelectedAttribute(SERIAL),))),
        (Conformance.SET, apdu.SetRequestNormal(0xC1, DEMAND_PERIOD, axdr.uint16(600))),
        (Conformance.BLOCK_TRANSFER_WITH_SET, apdu.SetRequestFirstBlock(0xC1, MESSAGE, False, 1, b"")),
        (Conformance.MULTIPLE_REFERENCES, apdu.SetRequestWithList(0xC1, MESSAGES, (b"\x00", b"\x00"))),
        (Conformance.ACTION, apdu.ActionRequestNormal(0xC1, DISCONNECT)),
        (Conformance.BLOCK_TRANSFER_WITH_ACTION, apdu.ActionRequestNextBlock(0xC1, 1)),
        (Conformance.ACCESS, apdu.AccessRequest(1, (AccessGet(SERIAL),), (b"\x00",))),
        (Conformance.GENERAL_BLOCK_TRANSFER, apdu.GeneralBlockTransfer(True, False, 1, 1, 0, b"\xc0")),
    ],
    ids=lambda part: part.name.lower() if part.name else "",
)
async def test_what_was_not_agreed_on_is_not_supported(left_out: Conformance, request_: apdu.Apdu) -> None:
    client, meter = await client_of_one(left_out)
    assert client.ask(request_) == apdu.ExceptionResponse(1, 2)
    assert (meter.conditions.demand_period_s, meter.state.control_state) == (1800, 1)


async def test_without_any_blocks_a_long_answer_is_refused_and_a_long_request_too() -> None:
    client, _ = await client_of_one(NO_BLOCKS)
    assert client.ask(apdu.GetRequestNormal(0xC1, BLOCK_LOAD)) == apdu.GetResponseNormal(0xC1, None, 250)
    both = apdu.GetRequestWithList(0xC1, (SelectedAttribute(BLOCK_LOAD), SelectedAttribute(SERIAL)))
    assert client.ask(both) == apdu.GetResponseWithList(0xC1, (DataResult(None, 250),) * 2)
    too_long = apdu.ExceptionResponse(1, 4)
    assert client.ask(apdu.AccessRequest(1, (AccessGet(BLOCK_LOAD),), (b"\x00",))) == too_long
    assert client.ask(apdu.SetRequestNormal(0xC1, MESSAGE, axdr.octet_string(LONG))) == too_long


async def test_without_selective_access_nothing_is_selected() -> None:
    client, _ = await client_of_one(Conformance.SELECTIVE_ACCESS)
    asked = apdu.GetRequestNormal(0xC1, BLOCK_LOAD, apdu.entry_selection(1, 1))
    assert client.ask(asked) == apdu.GetResponseNormal(0xC1, None, 13)
    written = apdu.SetRequestNormal(0xC1, DEMAND_PERIOD, axdr.uint16(600), apdu.entry_selection(1, 1))
    assert client.ask(written) == apdu.SetResponseNormal(0xC1, 13)


# --- ACCESS ---------------------------------------------------------------------------------------------------

FOUR = (AccessGet(SERIAL), AccessGet(NO_SUCH), AccessSet(DEMAND_PERIOD), AccessAction(DISCONNECT))
THEIR_DATA = (b"\x00", b"\x00", axdr.uint16(600), axdr.int8(0))


async def test_access_that_breaks_on_error_does_nothing_more_and_says_other_reason() -> None:
    client, meter = await client_of_one()
    answer = client.ask(apdu.AccessRequest(0x6000_0007, FOUR, THEIR_DATA))
    assert isinstance(answer, apdu.AccessResponse)
    assert answer.invoke_id == 0x6000_0007
    assert answer.results == tuple(map(AccessResult._make, [(1, 0), (1, 4), (2, 250), (3, 250)]))
    assert answer.data[1:] == (b"\x00",) * 3
    assert (meter.conditions.demand_period_s, meter.state.control_state) == (1800, 1)


async def test_access_that_describes_itself_repeats_what_was_asked() -> None:
    client, meter = await client_of_one()
    specifications = (*FOUR, AccessGet(BY_ENTRY, apdu.entry_selection(1, 1)))
    answer = client.ask(apdu.AccessRequest(0x5012_3456, specifications, (*THEIR_DATA, b"\x00")))
    assert isinstance(answer, apdu.AccessResponse)
    assert answer.specifications == specifications
    assert [each.result for each in answer.results] == [0, 4, 0, 0, 0]
    assert answer.data[4] == axdr.array(meter.rows(None)[:1])
    assert (meter.conditions.demand_period_s, meter.state.control_state) == (600, 0)


# --- general block transfer -----------------------------------------------------------------------------------


def in_general_blocks(client: Client, request: apdu.Apdu, window: int) -> tuple[apdu.Apdu, list[int]]:
    """The answer to a request that goes in blocks of 60 octets, and how many blocks came in each turn."""
    transfer = BlockTransfer(60, window)
    to_send, turns = transfer.start(request.encode()), []
    while (whole := transfer.take()) is None:
        came: list[bytes] = []
        for block in to_send:
            answer = client.raw(block)
            came += [answer] * bool(answer) + list(client.connection.further)
            client.connection.further.clear()
        assert all(block[0] == 0xE0 for block in came)
        turns.append(len(came))
        to_send = [answer for block in came for answer in transfer.handle(block)]
        assert to_send or transfer.delivered
    return apdu.decode(whole), turns


@pytest.mark.parametrize("window", [1, 3, 20])
async def test_any_service_goes_by_general_blocks_as_many_in_a_row_as_the_client_takes(window: int) -> None:
    client, meter = await client_of_one(max_pdu=200)
    written, _ = in_general_blocks(client, apdu.SetRequestNormal(0xC1, MESSAGE, axdr.octet_string(LONG)), window)
    assert written == apdu.SetResponseNormal(0xC1, 0)
    assert meter.state.message == LONG
    whole = apdu.AccessRequest(0x4000_0001, (AccessGet(MESSAGE), *FOUR), (b"\x00", *THEIR_DATA))
    read, turns = in_general_blocks(client, whole, window)
    assert isinstance(read, apdu.AccessResponse)
    assert read.data[0] == axdr.octet_string(LONG)
    assert max(turns) == min(window, -(-(len(LONG) + 40) // 190))


async def test_a_meter_on_a_link_of_turns_sends_one_block_a_turn() -> None:
    async with one_meter(**OPEN) as place:
        client = Client(place.meter, max_pdu=200)
        client.connection._streams = False
        place.meter.state.message = LONG
        request = apdu.AccessRequest(0x4000_0001, (AccessGet(MESSAGE), *FOUR), (b"\x00", *THEIR_DATA))
        read, turns = in_general_blocks(client, request, 20)
        assert isinstance(read, apdu.AccessResponse)
        assert read.data[0] == axdr.octet_string(LONG)
        assert max(turns) == 1


async def test_garbled_blocks_are_answered_by_an_exception_and_the_next_request_works() -> None:
    client, meter = await client_of_one()
    for octets in (
        b"\xe0",
        b"\xe0\x81\x00\x00\x00\x00\x01",
        bytes.fromhex("e081ffff000001c0"),
        b"\xe0\x81\x00\x01\x00\x09\x00",
    ):
        assert apdu.decode(client.raw(octets)) == apdu.ExceptionResponse(2, 3)
    found = client.ask(apdu.GetRequestNormal(0xC1, SERIAL))
    assert found == apdu.GetResponseNormal(0xC1, axdr.visible_string(meter.identity.serial))
