"""The objects of a simulated meter as our client sees them: what may be done is listed, and what is done shows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest
from simulated import BLOCK_LOAD, BY_ENTRY, CLOCK, METER_TYPE, SWITCH, TITLE, one_meter, value

from drivers.cosem.attributes import read_value
from drivers.cosem.object_list import ListedObject
from drivers.cosem.objects import (
    Clock,
    DisconnectControl,
    ImageTransfer,
    SecuritySetup,
    read_listed,
    read_object,
    read_object_list,
)
from drivers.dlms import apdu, axdr
from drivers.dlms.security import Secret
from drivers.session import Session
from profiles.errors import AccessDenied
from profiles.objects import AttributeRef, CaptureObject, MethodRef, Obis
from simulators.meter import SimulatedMeter

CURRENT, NAMEPLATE = Obis(0, 0, 40, 0, 0), AttributeRef(7, Obis(0, 0, 94, 91, 10), 2)
BLOCK_PERIOD = AttributeRef(1, Obis(1, 0, 0, 8, 4), 2)
SCRIPTS = Obis(0, 0, 10, 0, 106)
SECURITY = Obis(0, 0, 43, 0, 3)
CLOCK_COLUMN = CaptureObject(*CLOCK)


def stamp(text: str) -> bytes:
    return bytes.fromhex(text)


async def denied(session: Session, attribute: AttributeRef, data: bytes, words: str) -> None:
    with pytest.raises(AccessDenied, match=words):
        await session.set(attribute, data)


# --- what is listed -------------------------------------------------------------------------------------------


async def test_every_attribute_listed_as_readable_is_and_has_the_shape_of_its_class() -> None:
    async with one_meter() as place, place.session() as session:
        objects = await read_object_list(session)
        assert {one.class_id for one in objects} >= {1, 7, 8, 9, 15, 17, 64, 70}
        for one in objects:
            values = await read_listed(session, one)
            assert [named for named in values.values() if not named.as_declared] == []
            buffer = {2} if one.class_id == 7 else set()
            assert set(values) == {reference.attribute for reference in one.readable} - buffer


@pytest.mark.parametrize("name", ["public", "meter_reader", "utility_setting"])
async def test_rights_are_listed_as_they_are_kept(name: str) -> None:
    async with one_meter() as place, place.session(name) as session:
        objects = await read_object_list(session)
        may = name == "utility_setting"
        assert any(right.writable for one in objects for right in one.attributes) is may
        assert any(right.callable for one in objects for right in one.methods) is may
        for one in objects:
            for right in one.attributes:
                if not right.writable and may:
                    await denied(session, AttributeRef(one.class_id, one.obis, right.attribute), b"\x00", "denied")


async def test_selectors_are_listed_where_there_are_any() -> None:
    async with one_meter() as place, place.session() as session:
        buffers = {one.obis: one.right(2) for one in await read_object_list(session) if one.class_id == 7}
    selectors = {obis: right.selectors for obis, right in buffers.items() if right is not None}
    assert selectors[BLOCK_LOAD.obis] == (1,)
    assert selectors[BY_ENTRY.obis] == (2,)
    assert selectors[NAMEPLATE.obis] == ()


async def association(session: Session, obis: Obis) -> dict[str, Any]:
    attributes = ListedObject(15, 2, obis, (), ())
    found = {}
    for index in (3, 4, 5, 6, 8, 9, 10, 11):
        reference = AttributeRef(15, attributes.obis, index)
        named = read_value(reference, await session.get(reference), 2)
        found[named.name] = named.value
    return found


async def test_an_association_tells_of_itself_and_of_the_others() -> None:
    async with one_meter(mechanism=5, security_control=0x30) as place, place.session() as session:
        own = await association(session, CURRENT)
        assert own == await association(session, place.setting.logical_name)
        assert own["associated_partners_id"] == {"client_sap": 48, "server_sap": 1}
        assert own["application_context_name"] == "2.16.756.5.8.1.3"
        assert own["authentication_mechanism_name"] == "2.16.756.5.8.2.5"
        assert own["association_status"] == (2, "associated")
        assert own["security_setup_reference"] == SECURITY
        context = own["xdlms_context_info"]
        assert set(context["conformance"]) >= {"get", "set", "action", "access", "multiple-references"}
        assert "general-protection" not in context["conformance"], "our client did not propose it"
        assert context["max_receive_pdu_size"] == place.meter.identity.maker.max_pdu
        public = await association(session, METER_TYPE.associations["public"].logical_name)
        assert public["application_context_name"] == "2.16.756.5.8.1.1"
        assert public["authentication_mechanism_name"] == "2.16.756.5.8.2.0"
        assert public["association_status"] == (0, "non-associated")


async def test_users_are_added_and_removed() -> None:
    async with one_meter() as place, place.session() as session:
        user = axdr.structure(axdr.uint8(3), axdr.visible_string("fitter"))
        await session.action(MethodRef(15, CURRENT, 5), user)
        assert await value(session, AttributeRef(15, CURRENT, 10)) == [(3, "fitter")]
        await session.action(MethodRef(15, CURRENT, 6), user)
        assert await value(session, AttributeRef(15, CURRENT, 10)) == []
        with pytest.raises(AccessDenied, match="undefined"):
            await session.action(MethodRef(15, CURRENT, 6), user)
        with pytest.raises(AccessDenied, match="type unmatched"):
            await session.action(MethodRef(15, CURRENT, 5), axdr.uint8(3))


async def test_a_password_is_written_and_never_read() -> None:
    async with one_meter(mechanism=1) as place:
        secret = AttributeRef(15, CURRENT, 7)
        async with place.session() as session:
            with pytest.raises(AccessDenied, match="denied"):
                await session.get(secret)
            await denied(session, secret, axdr.octet_string(b"short"), "other reason")
            await session.set(secret, axdr.octet_string(b"a new password"))
        assert place.meter.keys.lls == Secret(b"a new password")
        async with place.session() as session:
            await session.get(CLOCK)


async def test_an_hls_secret_is_changed_by_its_method() -> None:
    async with one_meter(mechanism=2) as place:
        async with place.session() as session:
            await denied(session, AttributeRef(15, CURRENT, 7), axdr.octet_string(bytes(16)), "denied")
            await session.action(MethodRef(15, CURRENT, 2), axdr.octet_string(b"sixteen new ones"))
        assert place.meter.keys.hls == Secret(b"sixteen new ones")
        async with place.session() as session:
            with pytest.raises(AccessDenied, match="denied"):
                await session.action(MethodRef(15, CURRENT, 1), axdr.octet_string(bytes(16)))


async def test_security_setup_and_saps_name_what_there_is() -> None:
    async with one_meter(mechanism=7, security_control=0x32, signed=True) as place, place.session() as session:
        setup = await read_object(session, SecuritySetup, SECURITY, 1)
        assert setup.server_system_title == place.meter.identity.system_title
        assert setup.client_system_title == TITLE
        assert setup.security_suite is not None
        assert setup.security_suite.number == 2
        assert isinstance(setup.security_policy, tuple)
        kinds = ("authenticated", "encrypted", "digitally signed")
        assert set(setup.security_policy) == {f"{kind} {way}" for kind in kinds for way in ("request", "response")}
        saps = await value(session, AttributeRef(17, Obis(0, 0, 41, 0, 0), 2))
        assert saps == [(1, place.meter.identity.serial.encode())]


# --- clock and capture period ---------------------------------------------------------------------------------


async def test_a_clock_that_is_set_goes_on_from_there_and_stamps_rows() -> None:
    async with one_meter() as place, place.session() as session:
        count = len(place.meter.stored_starts())
        await session.set(CLOCK, axdr.octet_string(stamp("07ea0103060c2d0000800000")))
        assert await value(session, CLOCK) == stamp("07ea0103060c2d00ff800000")
        assert len(place.meter.stored_starts()) == count + 5
        await session.set(CLOCK, axdr.date_time(stamp("07ea0103060b2d0000800000")))
        assert len(place.meter.stored_starts()) == count + 1
        clock = await read_object(session, Clock, CLOCK.obis, 0)
        assert str(clock.time) == "2026-01-03 11:45:00"
        assert (clock.time_zone, clock.daylight_savings_enabled) == (-330, False)


async def test_what_is_no_time_does_not_set_the_clock() -> None:
    async with one_meter() as place, place.session() as session:
        before = await value(session, CLOCK)
        for data in (axdr.octet_string(b"\xff" * 12), axdr.octet_string(b"\x07"), axdr.uint32(1), axdr.null()):
            await denied(session, CLOCK, data, "type unmatched")
        await denied(session, CLOCK._replace(attribute=3), axdr.int16(0), "denied")
        assert await value(session, CLOCK) == before


@pytest.mark.parametrize(
    ("method", "parameter", "now"),
    [
        (1, axdr.int8(0), "11:45:00"),
        (2, axdr.int8(0), "11:45:00"),
        (3, axdr.int8(0), "11:38:00"),
        (6, axdr.int16(-100), "11:35:50"),
        (6, axdr.int16(900), "11:52:30"),
    ],
)
async def test_a_clock_is_adjusted(method: int, parameter: bytes, now: str) -> None:
    async with one_meter() as place, place.session() as session:
        await session.action(MethodRef(8, CLOCK.obis, method), parameter)
        assert str((await read_object(session, Clock, CLOCK.obis, 0)).time) == f"2026-01-03 {now}"


async def test_a_clock_is_not_shifted_further_than_a_quarter_of_an_hour() -> None:
    async with one_meter() as place, place.session() as session:
        for parameter, words in ((axdr.int16(901), "other reason"), (axdr.int8(1), "type unmatched")):
            with pytest.raises(AccessDenied, match=words):
                await session.action(MethodRef(8, CLOCK.obis, 6), parameter)
        assert place.meter.state.clock_offset_s == 0


@pytest.mark.parametrize(
    ("attribute", "data"), [(BLOCK_LOAD._replace(attribute=4), axdr.uint32(1800)), (BLOCK_PERIOD, axdr.uint16(1800))]
)
async def test_another_capture_period_erases_the_buffer(attribute: AttributeRef, data: bytes) -> None:
    async with one_meter() as place, place.session() as session:
        await session.set(attribute, data)
        assert await value(session, BLOCK_LOAD) == []
        assert await value(session, BLOCK_LOAD._replace(attribute=4)) == 1800
        assert await value(session, BLOCK_PERIOD) == 1800
        assert await value(session, BLOCK_LOAD._replace(attribute=8)) == 35 * 48
        await session.set(CLOCK, axdr.octet_string(stamp("07ea0103060d0000ff800000")))
        rows = await value(session, BLOCK_LOAD)
        assert isinstance(rows, list)
        assert [row[0].hex() for row in rows] == ["07ea0103060c1e00ff800000", "07ea0103060d0000ff800000"]


@pytest.mark.parametrize("seconds", [0, 1, 59, 1000, 3600])
async def test_a_capture_period_that_rows_can_not_have_is_refused(seconds: int) -> None:
    async with one_meter() as place, place.session() as session:
        await denied(session, BLOCK_LOAD._replace(attribute=4), axdr.uint32(seconds), "other reason")
        await denied(session, BLOCK_LOAD._replace(attribute=4), axdr.uint16(900), "type unmatched")
        assert place.meter.period_s == 900
        assert len(place.meter.stored_starts()) > 100


async def test_a_reset_erases_the_buffer() -> None:
    async with one_meter() as place, place.session() as session:
        await session.action(MethodRef(7, BLOCK_LOAD.obis, 1), axdr.int8(0))
        assert await value(session, BLOCK_LOAD._replace(attribute=7)) == 0
        assert await value(session, BLOCK_LOAD) == []


# --- the switch -----------------------------------------------------------------------------------------------


async def state(session: Session) -> tuple[bool | None, int]:
    switch = await read_object(session, DisconnectControl, SWITCH, 0)
    assert switch.control_state is not None
    return switch.output_state, switch.control_state.number


@pytest.mark.parametrize(("mode", "after"), [(1, (False, 2)), (2, (True, 1)), (3, (False, 2)), (4, (True, 1))])
async def test_the_supply_is_switched_off_and_on_again_as_its_mode_has_it(mode: int, after: tuple[bool, int]) -> None:
    async with one_meter() as place, place.session() as session:
        await session.set(AttributeRef(70, SWITCH, 4), axdr.enum(mode))
        await session.action(MethodRef(70, SWITCH, 2), axdr.int8(0))
        assert await state(session) == (True, 1)
        await session.action(MethodRef(70, SWITCH, 1), axdr.int8(0))
        assert await state(session) == (False, 0)
        await session.action(MethodRef(70, SWITCH, 2), axdr.int8(0))
        assert await state(session) == after


async def test_a_supply_that_is_always_connected_is_not_switched_off() -> None:
    async with one_meter() as place, place.session() as session:
        await session.set(AttributeRef(70, SWITCH, 4), axdr.enum(0))
        with pytest.raises(AccessDenied, match="other reason"):
            await session.action(MethodRef(70, SWITCH, 1), axdr.int8(0))
        await denied(session, AttributeRef(70, SWITCH, 4), axdr.enum(7), "other reason")
        await denied(session, AttributeRef(70, SWITCH, 4), axdr.uint8(4), "type unmatched")
        assert await state(session) == (True, 1)


async def test_scripts_switch_the_supply() -> None:
    async with one_meter() as place, place.session() as session:
        scripts = await value(session, AttributeRef(9, SCRIPTS, 2))
        assert scripts == [(number, [(2, 70, bytes(SWITCH), number, 0)]) for number in (1, 2)]
        execute = MethodRef(9, SCRIPTS, 1)
        await session.action(execute, axdr.uint16(1))
        assert await state(session) == (False, 0)
        await session.action(execute, axdr.uint16(2))
        assert await state(session) == (True, 1)
        with pytest.raises(AccessDenied, match="undefined"):
            await session.action(execute, axdr.uint16(3))


# --- firmware -------------------------------------------------------------------------------------------------

IMAGE = Obis(0, 0, 44, 0, 0)
INITIATE, TRANSFER, VERIFY, ACTIVATE = (MethodRef(18, IMAGE, number) for number in (1, 2, 3, 4))


def image(octets: bytes, size: int) -> list[bytes]:
    """Parameters of the block transfer, block by block."""
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    return [axdr.structure(axdr.uint32(number), axdr.octet_string(piece)) for number, piece in enumerate(pieces)]


async def test_an_image_comes_in_blocks_in_any_order_and_becomes_the_firmware() -> None:
    firmware = b"SMA" + bytes(range(256)) * 4
    async with one_meter() as place, place.session("firmware_upgrade") as session:
        size = await value(session, AttributeRef(18, IMAGE, 2))
        assert size == 256
        begin = axdr.structure(axdr.octet_string(b"SM1P-3.00"), axdr.uint32(len(firmware)))
        await session.action(INITIATE, begin)
        blocks = image(firmware, 256)
        for block in (*blocks[3:], *blocks[:2]):
            await session.action(TRANSFER, block)
        transfer = await read_object(session, ImageTransfer, IMAGE, 0)
        assert transfer.image_transferred_blocks_status == "11011"
        assert transfer.image_first_not_transferred_block_number == 2
        assert (transfer.image_transfer_status, transfer.image_to_activate_info) == ((1, "initiated"), ())
        with pytest.raises(AccessDenied, match="other reason"):
            await session.action(ACTIVATE, axdr.int8(0))
        with pytest.raises(AccessDenied, match="other reason"):
            await session.action(VERIFY, axdr.int8(0))
        await session.action(INITIATE, begin)
        await session.action_list([TRANSFER] * 5, blocks)
        await session.action(VERIFY, axdr.int8(0))
        transfer = await read_object(session, ImageTransfer, IMAGE, 0)
        assert transfer.image_to_activate_info is not None
        assert transfer.image_to_activate_info[0].image_to_activate_signature == hashlib.sha256(firmware).digest()
        await session.action(ACTIVATE, axdr.int8(0))
        assert await value(session, AttributeRef(1, Obis(1, 0, 0, 2, 0), 2)) == b"SM1P-3.00"
        assert (await read_object(session, ImageTransfer, IMAGE, 0)).image_transfer_status == (
            6,
            "activation successful",
        )


async def test_an_image_of_another_maker_or_blocks_that_do_not_fit_are_not_taken() -> None:
    async with one_meter() as place, place.session("firmware_upgrade") as session:
        for method, parameters in (
            (TRANSFER, image(b"SMA", 256)[0]),
            (VERIFY, axdr.int8(0)),
            (INITIATE, axdr.structure(axdr.octet_string(b"x"), axdr.uint32(0))),
            (INITIATE, axdr.structure(axdr.octet_string(b"x"), axdr.uint32(2**31))),
        ):
            with pytest.raises(AccessDenied, match="other reason"):
                await session.action(method, parameters)
        await session.action(INITIATE, axdr.structure(axdr.octet_string(b"x"), axdr.uint32(300)))
        for block in (axdr.structure(axdr.uint32(2), axdr.octet_string(bytes(44))), image(bytes(10), 256)[0]):
            with pytest.raises(AccessDenied, match="other reason"):
                await session.action(TRANSFER, block)
        for method in (INITIATE, TRANSFER):
            with pytest.raises(AccessDenied, match="type unmatched"):
                await session.action(method, axdr.uint8(1))
        for block in image(b"NRB" + bytes(297), 256):
            await session.action(TRANSFER, block)
        with pytest.raises(AccessDenied, match="other reason"):
            await session.action(VERIFY, axdr.int8(0))
        assert (await read_object(session, ImageTransfer, IMAGE, 0)).image_transfer_status == (4, "verification failed")
        await session.set(AttributeRef(18, IMAGE, 5), axdr.boolean(False))
        with pytest.raises(AccessDenied, match="other reason"):
            await session.action(INITIATE, axdr.structure(axdr.octet_string(b"x"), axdr.uint32(300)))


# --- selective access -----------------------------------------------------------------------------------------

VOLTAGE = CaptureObject(3, Obis(1, 0, 12, 27, 0), 2)
HEALTH = CaptureObject(1, Obis(0, 0, 96, 10, 1), 2)


def cells(meter: SimulatedMeter, rows: slice, columns: Sequence[int]) -> list[tuple[axdr.Value, ...]]:
    whole = [axdr.decode(row) for row in meter.rows(None)[rows]]
    return [tuple(row[column] for column in columns) for row in whole if isinstance(row, axdr.Structure)]


async def test_entries_and_columns_are_selected_by_number() -> None:
    async with one_meter() as place, place.session() as session:
        meter, count = place.meter, len(place.meter.stored_starts())
        for selection, rows, columns in (
            (apdu.entry_selection(1, 3), slice(3), range(9)),
            (apdu.entry_selection(count), slice(count - 1, None), range(9)),
            (apdu.entry_selection(2, 2, 2, 4), slice(1, 2), range(1, 4)),
            (apdu.entry_selection(count - 1, 0, 9), slice(count - 2, None), range(8, 9)),
            (apdu.entry_selection(count + 1), slice(0), range(9)),
        ):
            found = axdr.decode(await session.get(BY_ENTRY, selection))
            assert found == cells(meter, rows, columns)


async def test_columns_of_a_range_are_selected_by_name_and_come_in_the_order_of_the_profile() -> None:
    async with one_meter() as place, place.session() as session:
        bounds = stamp("07ea010306000000ff800000"), stamp("07ea010306001e00ff800000")
        selection = apdu.range_selection(CLOCK_COLUMN, *bounds, [HEALTH, CLOCK_COLUMN, VOLTAGE])
        found = axdr.decode(await session.get(BLOCK_LOAD, selection))
        assert isinstance(found, list)
        assert [row[0].hex() for row in found] == [
            f"07ea010306{minute}00ff800000" for minute in ("0000", "000f", "001e")
        ]
        assert found == cells(place.meter, slice(95, 98), (0, 1, 7))


async def test_what_can_not_be_selected_is_refused() -> None:
    bounds = stamp("07ea010306000000ff800000"), stamp("07ea010306001e00ff800000")
    stranger = CaptureObject(3, Obis(1, 0, 99, 27, 0), 2)
    async with one_meter() as place, place.session() as session:
        for attribute, selection in (
            (BY_ENTRY, apdu.entry_selection(0)),
            (BY_ENTRY, apdu.entry_selection(1, 1, 0, 1)),
            (BY_ENTRY, apdu.entry_selection(1, 1, 3, 2)),
            (BY_ENTRY, apdu.entry_selection(1, 1, 1, 10)),
            (BLOCK_LOAD, apdu.range_selection(CLOCK_COLUMN, *bounds, [stranger])),
            (BLOCK_LOAD, apdu.range_selection(VOLTAGE, *bounds)),
            (NAMEPLATE, apdu.range_selection(CLOCK_COLUMN, *bounds)),
            (BLOCK_LOAD, apdu.entry_selection(1)),
            (BY_ENTRY, apdu.range_selection(CLOCK_COLUMN, *bounds)),
            (NAMEPLATE, apdu.entry_selection(1)),
            (CLOCK, apdu.entry_selection(1)),
        ):
            with pytest.raises(AccessDenied, match="scope"):
                await session.get(attribute, selection)
        with pytest.raises(AccessDenied, match="type unmatched"):
            await session.get(BLOCK_LOAD, b"\x03" + axdr.null())
