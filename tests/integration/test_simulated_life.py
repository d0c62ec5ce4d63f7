"""What simulated meters do with what clients tell them, as our own client sees it afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from types_place import Inhabited, Row, inhabited, read_rows

from drivers.dlms import axdr
from drivers.dlms.security import Key, KeyId, Secret, encode_key_transfer
from drivers.session import Session
from profiles.errors import AccessDenied, HeadEndError
from profiles.events import GROUPS
from profiles.loader import load_meter_type
from profiles.objects import AttributeRef, MethodRef, Obis

TYPE = load_meter_type("is15959-1ph")
SWITCH, LIMITER = Obis(0, 0, 96, 3, 10), Obis(0, 0, 17, 0, 0)
CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
CALENDAR, SPECIAL_DAYS = Obis(0, 0, 13, 0, 0), Obis(0, 0, 11, 0, 0)
BILLING_DATES, RESET_SCRIPTS = Obis(0, 0, 15, 0, 0), Obis(0, 0, 10, 0, 1)
IMAGE, IMAGE_TIMES = Obis(0, 0, 44, 0, 0), Obis(0, 0, 15, 0, 2)
STATUS, FILTER = (AttributeRef(1, Obis(0, 0, 94, 91, d), 2) for d in (18, 26))
FIRMWARE = AttributeRef(1, Obis(1, 0, 0, 2, 0), 2)
NOTHING = axdr.int8(0)
WH = Obis(1, 0, 1, 8, 0)


@asynccontextmanager
async def setting(place: Inhabited, name: str = "utility_setting") -> AsyncIterator[Session]:
    async with place.session(name) as session:
        yield session


async def rows(place: Inhabited, profile: str) -> list[Row]:
    async with place.reader() as reader:
        return await read_rows(reader, place.meter.meter_type.profiles[profile])


async def codes(place: Inhabited, log: str, *, since: datetime) -> list[int]:
    """Of the events of a log since a moment, oldest first."""
    found = await rows(place, f"event_{log}")
    return [int(code) for stamp, code, *_ in (row.values() for row in found) if stamp >= since.timestamp()]


def cell(row: Row, obis: Obis, attribute: int = 2) -> Any:
    return next(value for captured, value in row.items() if captured[1:3] == (obis, attribute))


async def value(session: Session, attribute: AttributeRef) -> Any:
    return axdr.decode(await session.get(attribute))


def later(place: Inhabited, **time: float) -> None:
    place.now += timedelta(**time)


# --- one world --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["is15959-1ph", "is15959-3ph", "is15959-ltct"])
async def test_registers_days_blocks_and_bills_agree_to_the_watt_hour(name: str) -> None:
    async with inhabited(load_meter_type(name)) as place:
        blocks, days = await rows(place, "block_load"), await rows(place, "daily_load")
        bills, (now,) = await rows(place, "billing"), await rows(place, "instantaneous")
        newer, older = days[-1], days[-4]
        first, last = (next(iter(row.values())) for row in (older, newer))
        between = [row for row in blocks if first < next(iter(row.values())) <= last]
        assert len(between) == 3 * 96
        for register, block in ((WH, Obis(1, 0, 1, 29, 0)), (Obis(1, 0, 9, 8, 0), Obis(1, 0, 9, 29, 0))):
            flowed = sum(cell(row, block) for row in between)
            assert flowed == cell(newer, register) - cell(older, register) > 0
        assert cell(bills[-1], WH) == cell(now, WH) >= cell(days[-1], WH)
        rates = [cell(bills[-1], Obis(1, 0, 1, 8, rate)) for rate in range(1, 9)]
        assert sum(rates) == cell(bills[-1], WH)
        assert [rate > 0 for rate in rates] == [True] * 3 + [False] * 5
        closed, running = (cell(row, Obis(1, 0, 1, 6, 0)) for row in bills)
        hours = [
            cell(one, Obis(1, 0, 1, 29, 0)) + cell(two, Obis(1, 0, 1, 29, 0))
            for one, two in pairwise(blocks)
            if next(iter(two.values())) % 1800 == 0
        ]
        assert max(closed, running) == 2 * max(hours), "the highest half hour"


# --- the supply ---------------------------------------------------------------------------------------------------


async def test_nothing_flows_while_the_switch_is_open_and_what_was_done_is_logged() -> None:
    async with inhabited(TYPE) as place:
        since = place.now
        async with setting(place) as session:
            await session.action(MethodRef(70, SWITCH, 1), NOTHING)
        later(place, hours=2)
        async with setting(place) as session:
            assert await value(session, AttributeRef(70, SWITCH, 2)) is False
            await session.action(MethodRef(70, SWITCH, 2), NOTHING)
        later(place, hours=2)
        blocks = [row for row in await rows(place, "block_load") if next(iter(row.values())) > since.timestamp() + 900]
        energies = [cell(row, Obis(1, 0, 1, 29, 0)) for row in blocks]
        assert energies[:6] == [0] * 6
        assert all(energies[-6:])
        assert await codes(place, "control", since=since) == [301, 302]
        (now,) = await rows(place, "instantaneous")
        assert cell(now, SWITCH) is True or cell(now, SWITCH) == 1
        async with place.session("meter_reader") as session:
            with pytest.raises(AccessDenied):
                await session.action(MethodRef(70, SWITCH, 1), NOTHING)


@pytest.mark.parametrize(("mode", "again"), [(4, False), (6, True)])
async def test_a_limit_that_is_exceeded_opens_the_switch(mode: int, again: bool) -> None:
    async with inhabited(TYPE) as place:
        since = place.now
        async with setting(place) as session:
            await session.set(AttributeRef(70, SWITCH, 4), axdr.enum(mode))
            await session.set(AttributeRef(71, LIMITER, 6), axdr.uint32(60))
            await session.set(AttributeRef(71, LIMITER, 4), axdr.uint32(10))  # a watt, in tenths
            assert await value(session, AttributeRef(71, LIMITER, 3)) == 10
        later(place, minutes=4)
        async with setting(place) as session:
            assert await value(session, AttributeRef(70, SWITCH, 2)) is False
            assert await value(session, AttributeRef(70, SWITCH, 3)) == 2, "ready for reconnection"
        assert (await codes(place, "control", since=since))[0] == 301
        assert 215 in await codes(place, "other", since=since)
        assert 158 in await codes(place, "transaction", since=since)
        async with setting(place) as session:
            await session.set(AttributeRef(71, LIMITER, 4), axdr.uint32(1_000_000))
        later(place, minutes=30)
        async with setting(place) as session:
            assert await value(session, AttributeRef(70, SWITCH, 2)) is again
            if not again:
                await session.action(MethodRef(70, SWITCH, 2), NOTHING)
                assert await value(session, AttributeRef(70, SWITCH, 2)) is True


# --- firmware, keys, clock ----------------------------------------------------------------------------------------


async def transfer(session: Session, image: bytes) -> None:
    size = await value(session, AttributeRef(18, IMAGE, 2))
    about = axdr.structure(axdr.octet_string(b"SM1P-9.99"), axdr.uint32(len(image)))
    await session.action(MethodRef(18, IMAGE, 1), about)
    for number in range(-(-len(image) // size)):
        block = axdr.octet_string(image[number * size : (number + 1) * size])
        await session.action(MethodRef(18, IMAGE, 2), axdr.structure(axdr.uint32(number), block))
    await session.action(MethodRef(18, IMAGE, 3), NOTHING)


@pytest.mark.parametrize("scheduled", [False, True])
async def test_an_image_becomes_the_firmware_at_once_or_when_it_is_due(scheduled: bool) -> None:
    async with inhabited(TYPE) as place:
        since = place.now
        async with setting(place, "firmware_upgrade") as session:
            await transfer(session, b"SMA" + bytes(1000))
            if not scheduled:
                await session.action(MethodRef(18, IMAGE, 4), NOTHING)
        if scheduled:
            at = axdr.structure(axdr.octet_string(b"\x0c\x1e\0\0"), axdr.octet_string(b"\x07\xea\x03\x04\xff"))
            async with setting(place) as session:
                await session.set(AttributeRef(22, IMAGE_TIMES, 4), axdr.array([at]))
                assert await value(session, FIRMWARE) != b"SM1P-9.99"
            later(place, hours=1)
        async with setting(place) as session:
            assert await value(session, FIRMWARE) == b"SM1P-9.99"
        assert (await codes(place, "transaction", since=since))[-1] == 157
        async with setting(place) as session:
            with pytest.raises(AccessDenied):
                await transfer(session, b"SMA" + bytes(10))


async def test_keys_and_passwords_that_were_changed_are_those_of_the_next_session() -> None:
    async with inhabited(TYPE) as place:
        since, old = place.now, place.meter.keys
        new = Key(bytes(range(16)))
        wrapped = encode_key_transfer(old.master, {KeyId.GLOBAL_UNICAST_ENCRYPTION: new})
        async with setting(place) as session:
            await session.action(MethodRef(64, Obis(0, 0, 43, 0, 3), 2), wrapped)
            lls = AttributeRef(15, Obis(0, 0, 40, 0, 2), 7)
            await session.set(lls, axdr.octet_string(b"a new password"))
        assert (place.meter.keys.encryption, place.meter.keys.lls) == (new, Secret(b"a new password"))
        assert await codes(place, "transaction", since=since) == [164, 161]


async def test_a_clock_that_was_set_is_logged_and_stamps_what_follows() -> None:
    async with inhabited(TYPE) as place:
        ahead = place.now + timedelta(hours=1)
        async with setting(place) as session:
            await session.set(CLOCK, axdr.octet_string(place.meter.conditions.stamps.write_one(ahead.timestamp())))
        async with place.reader() as reader:
            assert (await reader.clock()).drift_s == pytest.approx(3600, abs=1)
        assert await codes(place, "transaction", since=ahead - timedelta(minutes=1)) == [151]
        (now,) = await rows(place, "instantaneous")
        assert cell(now, Obis(0, 0, 1, 0, 0)) == int(ahead.timestamp())
        assert cell(now, Obis(0, 0, 96, 2, 0)) == 1, "programmed once"


# --- tariff and billing -------------------------------------------------------------------------------------------


def day(*switches: tuple[int, int]) -> bytes:
    actions = [
        axdr.structure(
            axdr.octet_string(bytes((hour, 0, 0, 0))),
            axdr.octet_string(bytes((0, 0, 10, 0, 100, 255))),
            axdr.uint16(rate),
        )
        for hour, rate in switches
    ]
    return axdr.array(actions)


@pytest.mark.parametrize("by_time", [False, True])
async def test_a_passive_calendar_counts_once_it_is_active(by_time: bool) -> None:
    days = axdr.array([axdr.structure(axdr.uint8(1), day((0, 7)))])
    async with inhabited(TYPE) as place:
        since = place.now
        async with setting(place) as session:
            await session.set(AttributeRef(20, CALENDAR, 9), days)
            assert await session.get(AttributeRef(20, CALENDAR, 5)) != days
            if by_time:
                at = place.meter.conditions.stamps.write_one((since + timedelta(hours=1)).timestamp())
                await session.set(AttributeRef(20, CALENDAR, 10), axdr.octet_string(at))
            else:
                await session.action(MethodRef(20, CALENDAR, 1), NOTHING)
        later(place, hours=1)
        async with setting(place) as session:
            assert await session.get(AttributeRef(20, CALENDAR, 5)) == days
        before = (await rows(place, "billing"))[-1]
        later(place, hours=3)
        after = (await rows(place, "billing"))[-1]
        flowed = cell(after, WH) - cell(before, WH)
        assert flowed > 0
        by_rate = [cell(after, Obis(1, 0, 1, 8, n)) - cell(before, Obis(1, 0, 1, 8, n)) for n in range(1, 9)]
        assert by_rate == [flowed if rate == 7 else 0 for rate in range(1, 9)]
        assert await codes(place, "transaction", since=since) == [155]


async def test_a_special_day_has_the_day_profile_that_it_names() -> None:
    days = axdr.array([axdr.structure(axdr.uint8(n), day((0, n))) for n in (1, 8)])
    async with inhabited(TYPE) as place:
        async with setting(place) as session:
            await session.set(AttributeRef(20, CALENDAR, 9), days)
            await session.action(MethodRef(20, CALENDAR, 1), NOTHING)
            entry = axdr.structure(axdr.uint16(1), axdr.octet_string(b"\x07\xea\x03\x05\xff"), axdr.uint8(8))
            await session.action(MethodRef(11, SPECIAL_DAYS, 1), entry)
            assert await value(session, AttributeRef(11, SPECIAL_DAYS, 2)) == [(1, b"\x07\xea\x03\x05\xff", 8)]
        place.now = datetime(2026, 3, 4, 18, 30, tzinfo=UTC)
        midnight = (await rows(place, "billing"))[-1]
        later(place, hours=6)
        morning = (await rows(place, "billing"))[-1]
        flowed = cell(morning, WH) - cell(midnight, WH)
        assert cell(morning, Obis(1, 0, 1, 8, 8)) - cell(midnight, Obis(1, 0, 1, 8, 8)) == flowed > 0


async def test_calendars_that_can_not_be_understood_are_not_taken() -> None:
    async with inhabited(TYPE) as place, setting(place) as session:
        for octets in (
            axdr.uint8(1),
            axdr.array([day((3, 1))]),
            axdr.array([axdr.structure(axdr.uint8(1), day((3, 1)))]),
        ):
            with pytest.raises(AccessDenied):
                await session.set(AttributeRef(20, CALENDAR, 9), octets)


async def test_billing_periods_end_by_script_and_by_other_dates() -> None:
    async with inhabited(TYPE) as place:
        since = place.now
        assert len(await rows(place, "billing")) == 2
        async with setting(place) as session:
            await session.action(MethodRef(9, RESET_SCRIPTS, 1), axdr.uint16(1))
            fifth = axdr.structure(axdr.octet_string(bytes(4)), axdr.octet_string(b"\xff\xff\xff\x05\xff"))
            await session.set(AttributeRef(22, BILLING_DATES, 4), axdr.array([fifth]))
            assert await value(session, AttributeRef(22, BILLING_DATES, 4)) == [(bytes(4), b"\xff\xff\xff\x05\xff")]
        later(place, days=2)
        bills = await rows(place, "billing")
        ends = [datetime.fromtimestamp(cell(row, Obis(0, 0, 0, 1, 2)), UTC) for row in bills]
        assert ends == [
            datetime(2026, 2, 28, 18, 30, tzinfo=UTC),
            since,
            datetime(2026, 3, 4, 18, 30, tzinfo=UTC),
            place.now,
        ]
        (now,) = await rows(place, "instantaneous")
        assert cell(now, Obis(0, 0, 0, 1, 0)) == 3
        assert await codes(place, "transaction", since=since) == [166, 154]


# --- events and status --------------------------------------------------------------------------------------------


async def test_logs_number_their_entries_where_the_type_has_it() -> None:
    async with inhabited(load_meter_type("is15959-ltct")) as place:
        counted = 0
        for log in GROUPS.values():
            if log.name != "control":
                found = await rows(place, f"event_{log.name}")
                assert [cell(row, log.sequence) for row in found] == list(range(1, len(found) + 1))
                counted += len(found)
        assert counted > 5


async def test_the_status_word_tells_of_the_switch_and_of_the_supply_that_is_back() -> None:
    async with inhabited(TYPE) as place:
        failure = place.world.power_failures(0, int(place.now.timestamp()), int(place.now.timestamp()) + 30 * 86_400)[0]
        place.now = datetime.fromtimestamp(failure.restored_at + 60, UTC)
        async with setting(place) as session:
            word = await value(session, STATUS)
            assert (word.bits[86], word.bits[84]) == ("1", "0"), "first breath"
            await session.action(MethodRef(70, SWITCH, 1), NOTHING)
            assert (await value(session, STATUS)).bits[84] == "1"
            mask = axdr.bit_string("0" * 85 + "11" + "0" * 41)
            await session.set(FILTER, mask)
            assert await session.get(FILTER) == mask
            with pytest.raises(AccessDenied):
                await session.set(FILTER, axdr.bit_string("1"))
        later(place, hours=1)
        async with setting(place) as session:
            assert (await value(session, STATUS)).bits[86] == "0"


SETTINGS: list[tuple[AttributeRef, bytes, Callable[[int], bool]]] = [
    (AttributeRef(1, Obis(1, 0, 0, 8, 0), 2), axdr.uint16(900), lambda code: code == 152),
    (AttributeRef(1, Obis(1, 0, 0, 8, 4), 2), axdr.uint16(1800), lambda code: code == 153),
    (AttributeRef(1, Obis(0, 0, 94, 91, 26), 2), axdr.bit_string("10" * 64), lambda code: code == 165),
]


@pytest.mark.parametrize(("attribute", "data", "fits"), SETTINGS)
async def test_what_is_set_is_kept_and_logged(
    attribute: AttributeRef, data: bytes, fits: Callable[[int], bool]
) -> None:
    async with inhabited(TYPE) as place:
        since = place.now
        async with setting(place) as session:
            await session.set(attribute, data)
            assert await session.get(attribute) == data
            with pytest.raises(HeadEndError):
                await session.set(attribute, axdr.visible_string("x"))
        assert [fits(code) for code in await codes(place, "transaction", since=since)] == [True]


async def test_modes_of_payment_and_metering_are_events_of_their_own() -> None:
    async with inhabited(TYPE) as place:
        since = place.now
        async with setting(place) as session:
            await session.set(AttributeRef(1, Obis(0, 0, 94, 96, 20), 2), axdr.uint8(1))
            await session.set(AttributeRef(1, Obis(0, 0, 94, 96, 19), 2), axdr.uint8(0))
            balance = AttributeRef(1, Obis(0, 0, 94, 96, 24), 2)
            await session.set(balance, axdr.uint32(15_000))
            assert await value(session, balance) == 15_000
        found = [code for code in await codes(place, "other", since=since) if code in range(211, 215)]
        assert found == [212, 213]
