"""Any meter type can be simulated: what our client reads of each is what the physical world says, value by value."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from types_place import COMMISSIONED, NOW, Inhabited, expected_rows, inhabited, read_rows

from drivers.address import parse_address
from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import SelectedAttribute
from drivers.dlms.profile_buffer import decode_capture_objects
from drivers.reading import Reader, identify, read_invocation_counter
from drivers.session import run
from profiles.errors import AccessDenied, HeadEndError, MeterBusy, ProtocolError
from profiles.intervals import Quality
from profiles.loader import load_meter_type, meter_types
from profiles.meter_type import MeterType, SessionHabit
from profiles.objects import AttributeRef, CaptureObject, MethodRef, Obis
from profiles.push_readings import push_readings
from profiles.quirks import quirks
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.push import body

TYPES = {name: load_meter_type(name) for name in meter_types()}
READ = [name for name, meter_type in TYPES.items() if meter_type.profiles]
PUSH_ONLY = [name for name, meter_type in TYPES.items() if not meter_type.profiles]
QUIRKS = [
    (quirk.name, next(name for name in TYPES if quirk.fits(name)))
    for quirk in quirks().values()
    if any(TYPES[name].profiles and quirk.fits(name) for name in TYPES)
]


async def check_all_profiles(place: Inhabited, reader: Reader) -> dict[str, int]:
    """Read each profile whole, and hold it to the answer key; how many rows there were."""
    counted = {}
    for profile in place.meter.meter_type.profiles.values():
        if profile.kind in ("nameplate", "instantaneous"):
            continue
        rows = await read_rows(reader, profile)
        expected = expected_rows(place.said(profile))
        if profile.running_row:
            assert rows.pop()[next(iter(expected[0]))] == int(place.now.timestamp()), "the running period, until now"
        expected = expected[-profile.depth_rows :] if profile.depth_rows else expected
        if profile.running_row and profile.depth_rows:
            expected = expected[-profile.depth_rows + 1 :]
        assert rows == expected, profile.name
        counted[profile.name] = len(rows)
    return counted


@pytest.mark.parametrize("index", [0, 1], ids=["SMA", "NRB"])
@pytest.mark.parametrize("name", READ)
async def test_every_profile_of_every_type_is_read_value_by_value(name: str, index: int) -> None:
    async with inhabited(TYPES[name], index) as place, place.reader() as reader:
        counted = await check_all_profiles(place, reader)
    assert 200 < counted["block_load"] <= 9.5 * 96
    assert counted["daily_load"] in (9, 10), "midnights of the zone"
    assert counted["billing"] == 1
    assert sum(rows for log, rows in counted.items() if log.startswith("event_")) > 5


@pytest.mark.parametrize("name", READ)
async def test_what_is_measured_now_and_what_stands_on_the_nameplate_is_read(name: str) -> None:
    meter_type = TYPES[name]
    async with inhabited(meter_type) as place, place.reader() as reader:
        if meter_type.of_kind("instantaneous"):
            rows = await read_rows(reader, meter_type.of_kind("instantaneous")[0])
            registers = place.world.registers([0], [int(place.now.timestamp())])
            (row,) = rows
            by_obis = {(one.obis, one.attribute): cell for one, cell in row.items()}
            stated = by_obis[Obis(1, 0, 1, 8, 0), 2]
            assert abs(stated - 1000 * int(registers.wh_import[0, 0])) <= 5000
            assert by_obis[Obis(0, 0, 1, 0, 0), 2] == int(place.now.timestamp())
        if meter_type.nameplate is not None:
            nameplate = await reader.nameplate()
            serial = nameplate.column(meter_type.serial)
            assert serial is not None
            assert serial.values.tolist() == [place.meter.identity.serial]
        assert (await reader.clock()).drift_s == pytest.approx(0, abs=1)


@pytest.mark.parametrize("name", READ)
async def test_a_range_of_blocks_is_what_the_answer_key_has_of_it(name: str) -> None:
    """Through the decoder that makes intervals of them, by the selection that the type offers."""
    start, end = datetime(2026, 2, 27, 18, 30, tzinfo=UTC), datetime(2026, 2, 28, 18, 30, tzinfo=UTC)
    meter_type = TYPES[name]
    profile = meter_type.profiles["block_load"]
    async with inhabited(meter_type) as place, place.reader() as reader:
        parts = [part async for part in reader.block_load(start, end)]
        expected = place.said(profile)
    stamps = [at - profile.capture_period_s for at in expected.at.tolist()]
    wanted = [stamp for stamp in stamps if start.timestamp() <= stamp < end.timestamp()]
    found = [stamp // 1_000_000 for part in parts for stamp in part.batch.start.tolist()]
    assert [stamp for stamp in found if start.timestamp() <= stamp < end.timestamp()] == wanted
    assert len(wanted) > 20
    assert not any(part.batch.suspects for part in parts)


# --- makers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quirk", "name"), QUIRKS, ids=[quirk for quirk, _ in QUIRKS])
async def test_a_meter_with_a_makers_quirk_is_read_by_who_knows_of_it(quirk: str, name: str) -> None:
    meter_type = load_meter_type(f"{name}+{quirk}")
    async with inhabited(meter_type) as place, place.reader() as reader:
        counted = await check_all_profiles(place, reader)
    assert counted["block_load"] > 200


async def test_a_meter_is_found_to_have_the_quirks_of_its_maker_by_its_nameplate() -> None:
    for quirk, name in (
        ("lt-deviation", "is15959-ltct"),
        ("secure-m1xx", "is15959-1ph"),
        ("allied-push-cover", "is15959-3ph"),
    ):
        async with inhabited(load_meter_type(f"{name}+{quirk}")) as place, place.reader() as reader:
            found = await identify(reader.session, name)
        assert quirk in found.meter_type.quirks


BLOCKS = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)
EVENT_SCALERS = AttributeRef(7, Obis(1, 0, 94, 91, 7), 3)
MAGNET = 201
STATUS = AttributeRef(1, Obis(0, 0, 94, 91, 18), 2)
CLOCK_COLUMN = CaptureObject(8, Obis(0, 0, 1, 0, 0), 2)


async def first_stamp(reader: Reader) -> bytes:
    """Of the block load: date-time octets."""
    rows = axdr.decode(await reader.session.get(BLOCKS))
    assert isinstance(rows, list)
    stamp: bytes = rows[0][0]
    return stamp


@pytest.mark.parametrize(
    ("quirk", "name", "ending"),
    [
        ("lt-deviation", "is15959-ltct", "00ff014a00"),
        ("deviation-in-dlms-sense", "is15959-1ph", "00fffeb600"),
        ("deviation-zero", "is15959-1ph", "00ff000000"),
        ("seconds-unset", "is15959-1ph", "ffff800000"),
        ("eppeltone-3ph-unset-octets", "is15959-part1-3ph", "ffff8000ff"),
    ],
)
async def test_stamps_are_written_as_the_maker_does(quirk: str, name: str, ending: str) -> None:
    async with inhabited(load_meter_type(f"{name}+{quirk}")) as place, place.reader() as reader:
        assert (await first_stamp(reader))[7:].hex() == ending


async def test_event_scalers_on_attribute_2_are_there() -> None:
    meter_type = load_meter_type("is15959-part1-3ph+eppeltone-3ph-event-scalers")
    async with inhabited(meter_type) as place, place.reader() as reader:
        columns = decode_capture_objects(await reader.session.get(EVENT_SCALERS))
    assert {column.attribute for column in columns} == {2}


def bounds(deviation: str) -> bytes:
    octets = (bytes.fromhex(f"07ea0301ff{hour:02x}0000ff{deviation}00") for hour in (6, 7))
    return apdu.range_selection(CLOCK_COLUMN, *octets)


async def test_some_meters_refuse_selections_that_others_take() -> None:
    unset, dlms = bounds("8000"), bounds("feb6")
    off_grid = apdu.range_selection(CLOCK_COLUMN, *(bytes.fromhex(f"07ea0301ff0601{s}ff800000") for s in ("00", "30")))
    open_end = apdu.entry_selection(3, 0)
    for quirk, refused, taken in (
        ("selection-needs-deviation", unset, dlms),
        ("entry-only", unset, open_end),
        ("no-selection", unset, None),
        ("bounds-on-period", off_grid, unset),
        ("entry-only+no-open-end", open_end, apdu.entry_selection(3, 5)),
    ):
        async with inhabited(load_meter_type(f"is15959-1ph+{quirk}")) as place, place.reader() as reader:
            with pytest.raises(AccessDenied):
                await reader.session.get(BLOCKS, refused)
            assert axdr.decode(await reader.session.get(BLOCKS, taken))


async def test_a_first_bound_is_left_out_and_the_newest_row_is_not_last_where_meters_are_so() -> None:
    counts = []
    for quirk in ("first-bound-excluded", "newest-not-last", "null-compressed"):
        async with inhabited(load_meter_type(f"is15959-1ph+{quirk}")) as place, place.reader() as reader:
            counts.append(len(axdr.decode(await reader.session.get(BLOCKS, bounds("8000")))))  # type: ignore[arg-type]
            whole = axdr.decode(await reader.session.get(BLOCKS))
            assert isinstance(whole, list)
            stamps = [row[0] for row in whole]
            assert (max(stamps, key=lambda one: one or b"") == stamps[-1]) is (quirk == "first-bound-excluded")
    assert counts == [4, 5, 5]


async def test_status_bits_stand_where_the_maker_has_them() -> None:
    """A magnet: bit 81, or 80 where all from there on are off by one."""
    for quirk, bit in (("", 81), ("+extended-esw", 80)):
        async with inhabited(load_meter_type(f"is15959-1ph{quirk}")) as place, place.reader() as reader:
            noticed = place.world.events(0, place.world.commissioned_at, place.world.commissioned_at + 90 * 86_400)
            place.now = datetime.fromtimestamp(next(one.at for one in noticed if one.code == MAGNET) + 1, UTC)
            word = axdr.decode(await reader.session.get(STATUS))
            assert isinstance(word, axdr.BitString)
            assert word.bits[bit] == "1"
            assert word.bits[161 - bit] == "0"
            assert bit in [one.bit for one in (await reader.status_word()).bits]


async def test_a_meter_that_knows_no_release_is_left_by_hanging_up() -> None:
    async with inhabited(load_meter_type("is15959-1ph+no-release")) as place, place.reader() as reader:
        with pytest.raises(HeadEndError):
            await run(reader.session.association.release(), reader.session.link)


async def test_a_meter_that_needs_a_pause_is_busy_until_then() -> None:
    passed = 0.0
    async with inhabited(load_meter_type("is15959-1ph+pause-after-public")) as place:
        place.meter.monotonic = lambda: passed
        async with place.session("public"):
            pass
        with pytest.raises(MeterBusy):
            async with place.session("meter_reader"):
                pass
        passed = 1.5
        async with place.reader() as reader:
            assert (await reader.clock()).time is not None


async def test_the_pause_is_made_before_the_counter_is_told() -> None:
    """So it is made by who asks for the counter and then reads, though he knows nothing of it."""
    async with inhabited(load_meter_type("is15959-1ph+pause-after-public")) as place:
        meter = place.meter
        address = parse_address(f"tcp://{meter.identity.host}:{place.server.port}")
        counter = meter.meter_type.associations["utility_setting"].invocation_counter
        assert counter is not None
        for _ in range(2):
            await read_invocation_counter(address, meter.meter_type, counter)
            async with place.session("utility_setting") as session:
                assert await session.get(STATUS)
        patient = replace(meter.meter_type, session_habit=SessionHabit(pause_s=60))
        told_before = meter.released_at
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await read_invocation_counter(address, patient, counter)
        assert meter.released_at > told_before, "the counter was told, and the pause cut short"


@pytest.mark.parametrize("also", ["", "+no-release"])
async def test_the_association_is_opened_anew_for_a_long_read_after_an_error_where_meters_need_it(also: str) -> None:
    missing = AttributeRef(1, Obis(1, 2, 3, 4, 5), 2)
    async with inhabited(load_meter_type(f"is15959-1ph+block-number-not-reset{also}")) as place:
        async with place.reader() as reader:
            rows = await reader.session.get(BLOCKS)
            with pytest.raises(AccessDenied):
                await reader.session.get(missing)
            with pytest.raises(ProtocolError, match="block"):
                await run(reader.session.association.get(BLOCKS), reader.session.link)
            assert await reader.session.get(BLOCKS) == rows
            link = reader.session.link
            assert await reader.session.get(BLOCKS) == rows
            assert reader.session.link is link, "once is enough"
        async with place.session("utility_setting") as session:
            missed, _ = await session.get_list([SelectedAttribute(missing), SelectedAttribute(STATUS)])
            assert missed.error
            heard = session.association.last_received
            assert await session.get(BLOCKS)
            assert session.association.last_received > heard


async def test_objects_that_only_some_makers_have_are_there() -> None:
    limits = [AttributeRef(71, Obis(0, 0, 17, 0, number), 4) for number in range(5)]
    balance = AttributeRef(1, Obis(0, 0, 94, 91, 24), 2)
    meter_type = load_meter_type("is15959-1ph+several-limits+prepaid-codes")
    async with inhabited(meter_type) as place, place.session("utility_setting") as session:
        await session.set(limits[3], axdr.uint32(50_000))
        assert [axdr.decode(await session.get(limit)) for limit in limits] == [138_000] * 3 + [50_000, 138_000]
        await session.set(balance, axdr.uint32(7))
        assert axdr.decode(await session.get(balance)) == 7


async def test_an_image_is_not_resumed_where_the_interface_can_not_say_from_where() -> None:
    first_missing = AttributeRef(18, Obis(0, 0, 44, 0, 0), 4)
    for quirk, told in (("", True), ("+wirepas-no-image-resume", False)):
        meter_type = load_meter_type(f"is15959-1ph{quirk}")
        async with inhabited(meter_type) as place, place.session("firmware_upgrade") as session:
            with nullcontext() if told else pytest.raises(AccessDenied):
                assert axdr.decode(await session.get(first_missing)) == 0


async def test_the_switch_is_logged_by_the_codes_that_the_maker_has_for_it() -> None:
    for quirk, log, code in (("", "control", 301), ("+events-manipur-hes", "transaction", 160)):
        meter_type = load_meter_type(f"is15959-1ph{quirk}")
        async with inhabited(meter_type) as place:
            async with place.session("utility_setting") as session:
                await session.action(MethodRef(70, Obis(0, 0, 96, 3, 10), 1), axdr.int8(0))
            async with place.reader() as reader:
                parts = [part async for part in reader.events(meter_type.profiles[f"event_{log}"])]
            assert parts[0].codes[-1] == code


@pytest.mark.parametrize("power", [-1, 2])
async def test_a_scaler_that_is_stated_wrongly_is_put_right_in_every_profile(power: int) -> None:
    """Of blocks as rows and as intervals, of days, bills and the values of this moment; nothing else is touched."""
    energies = {AttributeRef(3, Obis(1, 0, 1, 29, 0), 2): power, AttributeRef(3, Obis(1, 0, 1, 8, 0), 2): power}
    plain = TYPES["is15959-3ph"]
    profiles = {name: replace(one, corrections=energies) for name, one in plain.profiles.items()}
    async with inhabited(replace(plain, profiles=profiles)) as place:
        batches = []
        async with place.reader() as reader:
            counted = await check_all_profiles(place, reader)
            assert counted["block_load"] > 200
            assert counted["billing"] == 1
            (now,) = [one async for one in reader.rows(reader.profile("instantaneous"))]
            marks = {int(one.quality[0]) for one in now.columns if AttributeRef(*one.captured[:3]) in energies}
            assert marks == {Quality.CORRECTED}
            batches.append([part.batch async for part in reader.block_load(NOW - timedelta(days=2), NOW)])
        async with place.reader(plain) as reader:
            batches.append([part.batch async for part in reader.block_load(NOW - timedelta(days=2), NOW)])
        for right, wrong in zip(*batches, strict=True):
            assert right.values["wh_import"].any()
            assert (right.quality & Quality.CORRECTED).all()
            assert not (wrong.quality & Quality.CORRECTED).any()
            larger, smaller = (right, wrong) if power > 0 else (wrong, right)
            whole = larger.values["wh_import"] // 10 ** abs(power)
            assert abs(whole - smaller.values["wh_import"]).max() <= 1, "to the rounding of the channel"
            for name in right.values.keys() - {"wh_import"}:
                assert (right.values[name] == wrong.values[name]).all()


def test_energies_of_a_push_are_off_by_ten_where_the_type_says_so() -> None:
    said = []
    for quirk in ("", "+daily-push-off-by-ten"):
        meter = lone_meter(load_meter_type(f"is15959-1ph{quirk}"))
        values = axdr.decode(body(meter, meter.meter_type.pushes["daily_load"]))
        assert isinstance(values, axdr.Structure)
        assert values[:2] == (meter.identity.device_id, bytes(Obis(0, 6, 25, 9, 0)))
        said.append(values[3:])
    right, wrong = said
    assert any(right)
    assert wrong == tuple(10 * value for value in right)


@pytest.mark.parametrize("name", PUSH_ONLY)
def test_types_that_only_push_push_what_their_type_can_read(name: str) -> None:
    meter = lone_meter(TYPES[name])
    for push in TYPES[name].pushes.values():
        found = push_readings(TYPES[name], axdr.decode(body(meter, push)))
        assert found.push == push
        powers = [one for one in found.readings if one.obis is not None and one.obis[2:4] == (1, 7)]
        assert powers
        assert all(one.unit == 27 and one.number is not None for one in powers)


def lone_meter(meter_type: MeterType) -> SimulatedMeter:
    fleet = Fleet(7, 1, {"Bhopal city": 1}, COMMISSIONED)
    return next(iter(simulated_meters(fleet, meter_type, lambda: datetime(2026, 3, 4, tzinfo=UTC)).values()))


async def test_a_profile_is_only_asked_for_as_its_type_says() -> None:
    async with inhabited(TYPES["is15959-1ph"]) as place, place.reader() as reader:
        with pytest.raises(AccessDenied, match="scope"):
            await reader.session.get(BLOCKS, apdu.entry_selection(1, 2))
