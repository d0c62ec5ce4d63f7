"""What a meter says besides its load: this moment, bills, nameplate, events, clock and status, oddities and all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import pytest
from written_meter import (
    TITLE,
    Row,
    WrittenMeter,
    WrittenProfile,
    captured,
    ist,
    reader,
    scaler_profile,
    session_with,
    stamp,
)

from drivers.dlms import axdr
from drivers.dlms.apdu import Conformance
from drivers.reading import NO_CODE, EventRows, identify, read_clock, read_status_word
from profiles.errors import ProtocolError, SettingsError
from profiles.events import esw_changes
from profiles.intervals import Quality
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit

ONE, CT = load_meter_type("is15959-1ph"), load_meter_type("is15959-ltct")
NOW = ist("2026-01-11 00:00")
WH, V, W = 30, 35, 27
T = TypeVar("T")


async def all_of(parts: AsyncIterator[T]) -> list[T]:
    return [part async for part in parts]


# -- this moment ----------------------------------------------------------------------------------------------

INSTANT = ONE.profiles["instantaneous"]
MOMENT = captured(
    "8/0.0.1.0.0/2", "3/1.0.12.7.0/2", "3/1.0.1.8.0/2", "4/1.0.1.6.0/2", "4/1.0.1.6.0/5", "1/0.0.94.91.0/2",
    "3/1.0.13.7.0/2", "70/0.0.96.3.10/2", "1/0.0.128.9.9/2",
)  # fmt: skip


def moment_meter(row: Row) -> WrittenMeter:
    assert INSTANT.scaler_obis is not None
    scalers = {MOMENT[1]: ScalerUnit(-2, V), MOMENT[2]: ScalerUnit(1, WH), MOMENT[3]: ScalerUnit(0, W)}
    return WrittenMeter(
        profiles={INSTANT.obis: WrittenProfile(MOMENT, [row], 0), INSTANT.scaler_obis: scaler_profile(scalers)}
    )


async def test_a_moment_has_numbers_times_and_what_is_neither_each_by_its_own_scaler() -> None:
    row = [
        stamp("2026-01-10 23:59"),
        axdr.uint16(23_015),
        axdr.uint32(4_294_967_295),
        axdr.uint16(812),
        stamp("2026-01-05 19:30"),
        axdr.uint8(3),
        axdr.int16(-987),
        axdr.boolean(True),
        axdr.visible_string("abc"),
    ]
    async with reader(moment_meter(row), ONE, NOW) as session:
        rows = await session.instantaneous()
    assert [column.form for column in rows.columns] == [
        *("instant", "number", "number", "number", "instant", "number", "number", "number", "other")
    ]
    clock, voltage, energy, demand, when, tampers, factor, switch, own = rows.columns
    assert datetime.fromtimestamp(clock.values[0] / 1e6, UTC) == ist("2026-01-10 23:59")
    assert (voltage.exact(0), voltage.unit, voltage.name) == (Decimal("230.15"), V, "Voltage")
    assert (energy.exact(0), energy.exponent) == (Decimal("4.294967295E+10"), 1), "32 bits are not cut, nor rounded"
    assert (demand.exact(0), demand.unit) == (812, W)
    assert datetime.fromtimestamp(when.values[0] / 1e6, UTC) == ist("2026-01-05 19:30")
    assert (tampers.exact(0), tampers.quality[0]) == (3, 0), "data owes no scaler"
    assert factor.exact(0) == -987
    assert factor.quality[0] & Quality.SCALER_ASSUMED
    assert switch.values.tolist() == [1]
    assert (own.values.tolist(), own.captured.obis) == (["abc"], Obis(0, 0, 128, 9, 9))
    assert rows.quality[0] == Quality.NOT_AUTHENTICATED


async def test_a_cell_that_is_no_value_of_its_column_keeps_its_octets() -> None:
    odd = axdr.octet_string(b"\x01\x02")
    row = [
        axdr.octet_string(b"\xff" * 12),
        axdr.visible_string("n/a"),
        axdr.uint64(2**64 - 1),
        axdr.null(),
        odd,
        axdr.null(),
        axdr.float32(0.987),
        axdr.null(),
        axdr.structure(axdr.uint8(1)),
    ]
    async with reader(moment_meter(row), ONE, NOW) as session:
        rows = await session.instantaneous()
    assert [bool(column.known[0]) for column in rows.columns] == [
        *(False, False, False, False, False, False, True, False, True)
    ]
    assert [bool(column.unread[0]) for column in rows.columns][:5] == [True, True, True, False, True]
    assert [column.exact(0) for column in rows.columns[1:4]] == [None] * 3
    assert rows.octets(0, 2) == axdr.uint64(2**64 - 1)
    assert rows.octets(0, 4) == odd
    assert rows.columns[6].exact(0) == Decimal("0.987"), "a float counts as the decimal that names it"


async def test_a_clock_that_was_lost_makes_the_row_suspect() -> None:
    row = [stamp("2000-01-01 00:03"), *[axdr.null()] * 8]
    async with reader(moment_meter(row), ONE, NOW) as session:
        rows = await session.instantaneous()
    assert rows.quality[0] & Quality.CLOCK_SUSPECT


async def test_an_object_has_another_scaler_in_another_profile() -> None:
    billing = ONE.profiles["billing"]
    assert billing.scaler_obis is not None
    meter = moment_meter([stamp("2026-01-10 23:59"), axdr.null(), axdr.uint32(100), *[axdr.null()] * 6])
    columns = captured("3/0.0.0.1.2/2", "3/1.0.1.8.0/2")
    meter.profiles[billing.obis] = WrittenProfile(columns, [[stamp("2026-01-01 00:00"), axdr.uint32(1000)]], 0)
    meter.profiles[billing.scaler_obis] = scaler_profile({columns[1]: ScalerUnit(0, WH)})
    async with reader(meter, ONE, NOW) as session:
        moment = await session.instantaneous()
        (bill,) = await all_of(session.billing())
    register = Obis(1, 0, 1, 8, 0)
    for rows, exponent in ((moment, 1), (bill, 0)):
        column = rows.column(register)
        assert column is not None
        assert (column.exact(0), column.exponent) == (1000, exponent)


# -- bills ----------------------------------------------------------------------------------------------------

BILLING = ONE.profiles["billing"]
BILL = captured("3/0.0.0.1.2/2", "3/1.0.13.0.0/2", "3/1.0.1.8.0/2", "4/1.0.1.6.0/2", "4/1.0.1.6.0/5")
DATES = [f"2025-{month:02}-01 00:00" for month in range(7, 13)] + ["2026-01-01 00:00"]


def billing_meter(rows: list[Row], scaled: Sequence[CaptureObject] = BILL[1:4]) -> WrittenMeter:
    assert BILLING.scaler_obis is not None
    scalers = {one: ScalerUnit(-3 if one == BILL[1] else 0, 255) for one in scaled}
    return WrittenMeter(
        profiles={BILLING.obis: WrittenProfile(BILL, rows, 0), BILLING.scaler_obis: scaler_profile(scalers)}
    )


def bill(date: str, energy: int) -> Row:
    return [stamp(date), axdr.uint16(950), axdr.uint32(energy), axdr.uint16(9), stamp("2025-07-15 19:00")]


async def test_bills_come_newest_part_first_and_the_open_one_is_marked() -> None:
    meter = billing_meter([bill(date, number) for number, date in enumerate(DATES)])
    meter.conformance, meter.max_pdu = Conformance.GET | Conformance.SELECTIVE_ACCESS, 160
    async with reader(meter, ONE, NOW) as session:
        parts = await all_of(session.billing())
    assert len(parts) > 1
    assert [value for part in reversed(parts) for value in part.columns[2].values.tolist()] == list(range(7))
    partial = [bool(bits & Quality.PARTIAL) for part in reversed(parts) for bits in part.quality.tolist()]
    assert partial == [False] * 6 + [True]
    assert parts[0].stamp == 0, "the billing date, which is a register, says when"
    assert parts[0].columns[1].exact(0) == Decimal("0.950")


async def test_so_many_of_the_newest_bills_are_asked_for_and_no_more() -> None:
    meter = billing_meter([bill(date, number) for number, date in enumerate(DATES)])
    async with reader(meter, ONE, NOW) as session:
        (part,) = await all_of(session.billing(2))
    assert part.columns[2].values.tolist() == [5, 6]
    assert meter.profiles[BILLING.obis].entries() == [(6, 7)]


async def test_the_open_bill_is_the_latest_where_the_last_row_is_not() -> None:
    rows = [bill(date, number) for number, date in enumerate(DATES)]
    async with reader(
        billing_meter(rows[4:] + rows[:4]), load_meter_type("is15959-1ph+newest-not-last"), NOW
    ) as session:
        (part,) = await all_of(session.billing())
    marked = [value for value, bits in zip(part.columns[2].values, part.quality, strict=True) if bits & Quality.PARTIAL]
    assert marked == [6]


async def test_a_billing_date_with_a_scaler_is_a_date_all_the_same() -> None:
    meter = billing_meter([bill(DATES[0], 1)], scaled=BILL[:4])
    async with reader(meter, ONE, NOW) as session:
        (part,) = await all_of(session.billing())
    assert part.columns[0].form == "instant"
    assert datetime.fromtimestamp(part.columns[0].values[0] / 1e6, UTC) == ist(DATES[0])


# -- events ---------------------------------------------------------------------------------------------------

VOLTAGE = CT.profiles["event_voltage"]
EVENT = captured("8/0.0.1.0.0/2", "1/0.0.96.11.0/2", "3/1.0.32.7.0/2", "1/0.0.96.15.0/2")
START = datetime(2026, 1, 1, 0, 0)


def entries(numbers: Sequence[int], codes: Sequence[int] = (7, 8)) -> list[Row]:
    """Entries with these sequence numbers, an hour apart."""
    return [
        [
            stamp(f"{START + timedelta(hours=place):%Y-%m-%d %H:%M}"),
            axdr.uint16(codes[place % len(codes)]),
            axdr.uint16(2300),
            axdr.uint16(number),
        ]
        for place, number in enumerate(numbers)
    ]


def event_meter(rows: list[Row], columns: tuple[CaptureObject, ...] = EVENT, attribute: int = 3) -> WrittenMeter:
    assert VOLTAGE.scaler_obis is not None
    scalers = scaler_profile({EVENT[2]: ScalerUnit(-1, V)}, attribute)
    meter = WrittenMeter(profiles={VOLTAGE.obis: WrittenProfile(columns, rows, 0), VOLTAGE.scaler_obis: scalers})
    meter.max_pdu, meter.conformance = 300, Conformance.GET | Conformance.SELECTIVE_ACCESS
    return meter


async def events(
    meter: WrittenMeter, since: int | datetime | None = None, meter_type: MeterType = CT
) -> tuple[list[EventRows], list[int]]:
    """The parts, and the sequence numbers in the log's order."""
    async with reader(meter, meter_type, NOW) as session:
        parts = await all_of(session.events(meter_type.profiles["event_voltage"], since))
    numbers = [part.sequence for part in reversed(parts)]
    return parts, [value for one in numbers if one is not None for value in one.values.tolist()]


async def test_a_log_is_read_whole_with_what_its_codes_mean() -> None:
    parts, numbers = await events(event_meter(entries(range(1, 61), codes=(7, 8, 4711))))
    assert numbers == list(range(1, 61))
    last = parts[-1]
    assert last.codes.tolist()[:3] == [7, 8, 4711]
    known = [last.event(row) for row in range(3)]
    assert [(one.id, one.kind) for one in known if one] == [(7, "occurrence"), (8, "restoration"), (4711, "unknown")]
    assert last.rows.columns[2].exact(0) == Decimal("230.0")


async def test_a_log_is_read_since_a_sequence_number_and_no_further_back() -> None:
    meter = event_meter(entries(range(1, 61)))
    _, numbers = await events(meter, 57)
    assert numbers == [58, 59, 60]
    assert len(meter.profiles[VOLTAGE.obis].asked) == 1


async def test_sequence_numbers_that_start_again_lose_no_event() -> None:
    _, numbers = await events(event_meter(entries([65_533, 65_534, 65_535, 0, 1, 2])), 65_534)
    assert numbers == [65_535, 0, 1, 2]


async def test_a_sequence_number_that_the_log_no_longer_holds_gives_all() -> None:
    _, numbers = await events(event_meter(entries(range(30, 60))), 7)
    assert numbers == list(range(30, 60))


async def test_a_log_is_read_since_a_time_and_rows_without_a_time_are_given_too() -> None:
    rows = entries(range(1, 61))
    rows[58] = [axdr.octet_string(b"\xff" * 12), *rows[58][1:]]
    meter = event_meter(rows)
    _, numbers = await events(meter, ist("2026-01-03 08:00"))
    assert numbers == [57, 58, 59, 60]
    assert meter.profiles[VOLTAGE.obis].entries()[-1][0] > 1, "not the whole log"


async def test_a_log_without_order_gives_all_that_may_be_new() -> None:
    rows = entries(range(1, 11))
    _, numbers = await events(event_meter(rows[5:] + rows[:5]), 9, load_meter_type("is15959-ltct+newest-not-last"))
    assert sorted(numbers) == list(range(1, 11))


async def test_an_event_that_happens_while_a_full_log_is_read_costs_none() -> None:
    rows = entries(range(1, 61))
    meter = event_meter(rows)
    coming = iter(entries(range(1, 100))[60:])

    def happen() -> None:
        del rows[0]
        rows.append(next(coming))

    meter.profiles[VOLTAGE.obis].between = happen
    _, numbers = await events(meter, 10)
    assert set(numbers) >= set(range(11, 61))


async def test_one_list_of_columns_for_all_logs_still_has_its_codes() -> None:
    columns = captured("8/0.0.1.0.0/2", "1/0.0.96.11.1/2")
    rows: list[Row] = [[stamp("2026-01-01 00:00"), axdr.uint16(51)], [stamp("2026-01-01 01:00"), axdr.null()]]
    (part,), _ = await events(event_meter(rows, columns))
    assert part.codes.tolist() == [51, NO_CODE]
    assert part.event(1) is None
    assert part.sequence is None


async def test_an_event_scaler_on_attribute_2_is_found() -> None:
    (part, *_), _ = await events(event_meter(entries(range(3)), attribute=2))
    assert (part.rows.columns[2].exact(0), part.rows.columns[2].unit) == (Decimal("230.0"), V)


async def test_a_maker_with_events_of_its_own_is_heard_in_its_own_words() -> None:
    rows = entries([1], codes=(85,))
    (agreed,), _ = await events(event_meter(rows), meter_type=CT)
    (own,), _ = await events(event_meter(rows), meter_type=load_meter_type("is15959-ltct+events-web-hes"))
    one, other = agreed.event(0), own.event(0)
    assert one is not None
    assert other is not None
    assert one.kind == "unknown"
    assert other.kind != "unknown"


# -- who, when, how -------------------------------------------------------------------------------------------

NAMEPLATE = Obis(0, 0, 94, 91, 10)


def nameplate(meter_type: MeterType, maker: str, firmware: bytes) -> WrittenProfile:
    cells = {"0.0.96.1.0.255": axdr.visible_string("00123"), "0.0.96.1.1.255": axdr.visible_string(maker)}
    cells |= {"1.0.0.2.0.255": axdr.octet_string(firmware), "0.0.96.1.4.255": axdr.uint16(2025)}
    columns = meter_type.profiles["nameplate"].capture_objects
    return WrittenProfile(columns, [[cells.get(str(one.obis), axdr.uint8(1)) for one in columns]], 0)


def meter_of(meter_type: MeterType, maker: str = "Nobody", firmware: bytes = b"1.0") -> WrittenMeter:
    """A meter that captures what its type says."""
    profiles = {
        profile.obis: WrittenProfile(profile.capture_objects[::-1], [])
        for profile in (meter_type.profiles["block_load"], meter_type.profiles["daily_load"])
    }
    return WrittenMeter(profiles={**profiles, NAMEPLATE: nameplate(meter_type, maker, firmware)})


@pytest.mark.parametrize(
    "name", ["is15959-1ph", "is15959-3ph", "is15959-ltct", "is15959-part1-1ph", "is15959-part1-3ph"]
)
async def test_a_meter_is_known_by_what_it_captures_in_any_order(name: str) -> None:
    async with session_with(meter_of(load_meter_type(name))) as session:
        found = await identify(session)
    best = [one.type_name for one in found.guesses if one.likeness == found.guesses[0].likeness]
    assert name in best
    assert found.guesses[0].likeness > 0.9
    assert (found.serial, found.firmware, found.year, found.system_title) == ("00123", "1.0", 2025, TITLE)


async def test_maker_and_firmware_bring_their_quirks() -> None:
    async with session_with(meter_of(CT, "L&T\0\0", b"1.2\0")) as session:
        found = await identify(session, "is15959-ltct+entry-only")
    assert found.maker == "L&T"
    assert found.meter_type.quirks[0] == "entry-only", "what was chosen by hand stays"
    assert "lt-deviation" in found.meter_type.quirks
    assert found.meter_type.deviation == "local-minus-utc"
    assert found.guesses == ()


async def test_a_meter_that_tells_little_is_read_as_any_meter() -> None:
    name = AttributeRef(1, Obis(0, 0, 42, 0, 0), 2)
    async with session_with(WrittenMeter({name: axdr.octet_string(b"ABC0001")})) as session:
        found = await identify(session)
    assert (found.meter_type.name, found.guesses, found.serial) == ("generic-dlms", (), "")
    assert found.logical_device_name == "ABC0001"


CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)


@pytest.mark.parametrize(
    ("quirk", "octets", "drift_s", "suspect"),
    [
        ("", stamp("2026-01-11 00:02", second=5), 125, False),
        ("", stamp("2026-01-10 23:59", second=0xFF, status=0xFF), -60, False),
        ("", stamp("2026-01-11 00:00", deviation=b"\x00\x00"), 0, False),
        ("", stamp("2026-01-11 00:00", status=0x02), 0, True),
        ("+lt-deviation", stamp("2026-01-11 00:00", deviation=b"\x01\x4a"), 0, False),
        ("+deviation-in-dlms-sense", stamp("2026-01-11 00:00", deviation=b"\xfe\xb6"), 0, False),
        ("", stamp("2000-01-01 00:00"), (ist("2000-01-01 00:00") - NOW).total_seconds(), True),
    ],
)
async def test_a_clock_is_read_as_its_type_says(quirk: str, octets: bytes, drift_s: float, suspect: bool) -> None:
    async with session_with(WrittenMeter({CLOCK: octets})) as session:
        found = await read_clock(session, load_meter_type(f"is15959-1ph{quirk}"), lambda: NOW)
    assert (found.drift_s, found.uncertainty_s, found.suspect) == (drift_s, 0, suspect)
    assert found.stated.octets == octets[2:]


async def test_drift_is_against_the_middle_of_the_question() -> None:
    ours = iter([NOW, NOW + timedelta(seconds=4)])
    async with session_with(WrittenMeter({CLOCK: stamp("2026-01-11 00:00", second=5)})) as session:
        found = await read_clock(session, ONE, lambda: next(ours))
    assert (found.drift_s, found.uncertainty_s) == (3, 2)


async def test_a_clock_that_names_no_time_has_no_drift_and_one_of_other_octets_is_refused() -> None:
    async with session_with(WrittenMeter({CLOCK: axdr.octet_string(b"\xff" * 12)})) as session:
        found = await read_clock(session, ONE, lambda: NOW)
    assert (found.time, found.drift_s, found.lost) == (None, None, False)
    async with session_with(WrittenMeter({CLOCK: axdr.octet_string(b"\xff" * 11)})) as session:
        with pytest.raises(ProtocolError, match="12 octets"):
            await read_clock(session, ONE, lambda: NOW)


async def test_in_the_hour_that_a_clock_shows_twice_its_own_deviation_decides() -> None:
    # 2026-10-25 03:00 CEST the clocks of Amsterdam go back to 02:00 CET.
    now = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    summer, winter = stamp("2026-10-25 02:30", status=0x80), stamp("2026-10-25 02:30")
    for octets, deviation, drift_s in ((summer, b"\xff\x88", 0), (winter, b"\xff\xc4", 3600)):
        sent = octets[:11] + deviation + octets[13:]
        async with session_with(WrittenMeter({CLOCK: sent})) as session:
            found = await read_clock(session, load_meter_type("smr"), lambda: now)
        assert found.drift_s == drift_s


ESW, ESWF = AttributeRef(1, Obis(0, 0, 94, 91, 18), 2), AttributeRef(1, Obis(0, 0, 94, 91, 26), 2)


def bits(*numbers: int, count: int = 128) -> bytes:
    return axdr.bit_string("".join("1" if number in numbers else "0" for number in range(count)))


async def test_a_status_word_tells_what_holds_and_unknown_bits_keep_their_number() -> None:
    meter = WrittenMeter({ESW: bits(0, 77, 85), ESWF: bits(*range(128))})
    async with session_with(meter) as session:
        found = await read_status_word(session, ONE)
    assert [one.bit for one in found.bits] == [0, 77, 85]
    assert found.bits[2].english.lower().startswith("last gasp")
    assert found.filter == b"\xff" * 16
    changes = esw_changes(bytes(16), found.octets)
    assert [one.bit.bit for one in changes.occurrences] == [0, 77, 85]


async def test_a_status_word_without_a_filter_or_with_fewer_bits_is_read() -> None:
    async with session_with(WrittenMeter({ESW: bits(3, count=88)}, refused={ESWF})) as session:
        found = await read_status_word(session, ONE)
    assert ([one.bit for one in found.bits], found.filter) == ([3], None)


async def test_what_is_no_status_word_is_refused() -> None:
    async with session_with(WrittenMeter({ESW: axdr.uint32(5)})) as session:
        with pytest.raises(ProtocolError, match="bit-string"):
            await read_status_word(session, ONE)
    async with session_with(WrittenMeter()) as session:
        with pytest.raises(SettingsError, match="no event status word"):
            await read_status_word(session, load_meter_type("generic-dlms"))


async def test_a_type_without_a_profile_says_so() -> None:
    async with reader(WrittenMeter(), load_meter_type("generic-dlms"), NOW) as session:
        with pytest.raises(SettingsError, match="no instantaneous profile"):
            await session.instantaneous()
