"""Layouts as kept values, and how much of a profile is asked for at once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.credentials import Credentials
from drivers.dlms import apdu
from drivers.dlms.apdu import Conformance
from drivers.dlms.association import Association
from drivers.dlms.security import Key, Secret
from drivers.reading import Layout, guess_type
from drivers.reading.selection import by_range, on_grid, row_octets, rows_at_once
from profiles.datetimes import later
from profiles.errors import SettingsError
from profiles.loader import load_meter_type, meter_types
from profiles.objects import CaptureObject, Obis, ScalerUnit

ONE, SMR = load_meter_type("is15959-1ph"), load_meter_type("smr")
BLOCK = ONE.profiles["block_load"]
CLOCK = CaptureObject(8, Obis(0, 0, 1, 0, 0), 2)
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.mark.parametrize("name", meter_types())
def test_a_layout_comes_back_from_json_as_it_was(name: str) -> None:
    for profile in load_meter_type(name).profiles.values():
        scaled = {(one.class_id, one.obis, 2): ScalerUnit(-2, 255) for one in profile.scaler_objects}
        layout = Layout(profile.capture_objects, scaled, 900)
        assert Layout.from_plain(json.loads(json.dumps(layout.to_plain()))) == layout


@pytest.mark.parametrize(
    "plain", [{}, {"capture_objects": [[1]], "scalers": [], "capture_period_s": 1}, {"capture_objects": 5}]
)
def test_what_is_no_layout_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="layout"):
        Layout.from_plain(plain)


def opened(conformance: Conformance, max_pdu: int) -> Association:
    keys = Key(bytes(16)), Key(bytes(16)), Secret(b"12345678")
    association = Association(ONE.associations["meter_reader"], Credentials(bytes(8), *keys))
    association.conformance, association.server_max_pdu = conformance, max_pdu
    return association


@pytest.mark.parametrize(
    ("conformance", "max_pdu", "least", "most"),
    [
        (Conformance.GET, 560, 10, 560 // 45),
        (Conformance.GET | Conformance.BLOCK_TRANSFER_WITH_GET, 560, 300, 560 * 32 // 45),
        (Conformance.GET | Conformance.GENERAL_BLOCK_TRANSFER, 65_535, 1400, 65_536 // 45),
        (Conformance.GET, 64, 1, 1),
    ],
)
def test_a_request_asks_for_what_comes_in_a_few_apdus(
    conformance: Conformance, max_pdu: int, least: int, most: int
) -> None:
    assert least <= rows_at_once(opened(conformance, max_pdu), 45) <= most


def test_a_row_is_first_taken_to_be_as_long_as_it_can_be() -> None:
    columns = (CLOCK, CaptureObject(4, Obis(1, 0, 1, 6, 0), 2), CaptureObject(4, Obis(1, 0, 1, 6, 0), 5))
    assert row_octets(columns) >= 2 + 14 + 9 + 14


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)), st.sampled_from([300, 900, 1800, 3600, 86_400]),
    st.sampled_from(["Asia/Kolkata", "Europe/Amsterdam", "UTC"]),
)  # fmt: skip
def test_the_grid_begins_at_local_midnight_and_the_next_interval_is_never_earlier(
    moment: datetime, period_s: int, zone: str
) -> None:
    utc = moment.replace(tzinfo=UTC)
    first = on_grid(utc, period_s, zone)
    assert utc <= first < utc + timedelta(seconds=period_s + 3600)
    assert on_grid(first, period_s, zone) == first
    wall = first.astimezone(ZoneInfo(zone))
    assert (wall.hour * 3600 + wall.minute * 60 + wall.second) % period_s == 0


def test_days_are_those_of_the_zone() -> None:
    # 2026-03-29 has 23 hours in Amsterdam, 2026-10-25 has 25.
    for day, hours in ((datetime(2026, 3, 29), 23), (datetime(2026, 10, 25), 25), (datetime(2026, 7, 1), 24)):
        midnight = day.replace(tzinfo=AMSTERDAM)
        assert later(midnight, 1, 86_400, "Europe/Amsterdam") - midnight == timedelta(hours=hours)
        assert later(midnight, 2, 1800, "Europe/Amsterdam") - midnight == timedelta(hours=1)


def test_the_range_of_a_short_day_begins_with_its_own_stamp() -> None:
    daily = SMR.profiles["daily_load"]
    layout = Layout((CLOCK,), {}, 86_400)
    start = datetime(2026, 3, 29, tzinfo=AMSTERDAM).astimezone(UTC)
    end = datetime(2026, 3, 30, tzinfo=AMSTERDAM).astimezone(UTC)
    asked = apdu.decode_selection(by_range(SMR, replace(daily, stamp="end"), layout, start, end))
    assert isinstance(asked, apdu.RangeSelection)
    assert asked.start == asked.end
    assert asked.start[:8] == bytes((0x07, 0xEA, 3, 30, 1, 0, 0, 0))


def test_a_meter_that_writes_no_deviation_is_asked_with_a_deviation_of_0_where_it_wants_one() -> None:
    wants = replace(ONE, clock_habit=replace(ONE.clock_habit, selector="zero"))
    layout = Layout((CLOCK,), {}, 900)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for meter_type, deviation in ((ONE, b"\x80\x00"), (wants, b"\x00\x00")):
        asked = apdu.decode_selection(by_range(meter_type, BLOCK, layout, start, start + timedelta(hours=1)))
        assert isinstance(asked, apdu.RangeSelection)
        assert (asked.start[5:7], asked.start[9:11]) == (bytes((5, 45)), deviation), "wall time in India"


@pytest.mark.parametrize("name", ["is15959-1ph", "is15959-3ph", "is15959-ltct", "is15959-part1-1ph", "smr"])
def test_what_a_type_captures_is_most_like_that_type(name: str) -> None:
    profiles = load_meter_type(name).profiles
    captured = {
        one: profiles[one].capture_objects for one in ("nameplate", "block_load", "daily_load") if one in profiles
    }
    guesses = guess_type(captured)
    assert name in [one.type_name for one in guesses if one.likeness == guesses[0].likeness]


def test_a_meter_that_captures_nothing_known_is_like_no_type() -> None:
    assert guess_type({"block_load": (CaptureObject(3, Obis(1, 0, 128, 1, 1), 2),)}) == ()
