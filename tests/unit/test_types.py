"""The bundled Indian types against the list of every column that is known of such meters, row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from profiles.columns import UNIT_NUMBERS, parse_columns
from profiles.events import GROUPS
from profiles.loader import load_meter_type, meter_types
from profiles.meter_type import Column, MeterType
from profiles.objects import CaptureObject, Obis

FACTS = Path(__file__).with_name("vectors") / "is15959_columns.csv"
TYPES = {
    "1ph": "is15959-1ph",
    "3ph_wc": "is15959-3ph",
    "ltct": "is15959-ltct",
    "htct": "is15959-htct",
    "part1_1ph": "is15959-part1-1ph",
    "part1_3ph_wc": "is15959-part1-3ph",
}
OTHER_BUILDS = {
    "part1_1ph": ("eppeltone-effective-current",),
    "part1_3ph_wc": ("eppeltone-3ph-export",),
}
"""The facts list the alternatives of a firmware's builds together; a type has one build, its quirks the others."""

PUSHES = {
    "push_instant_0.0.25.9.0": "instant",
    "push_alert_0.4.25.9.0": "alert",
    "push_block_0.5.25.9.0": "block_load",
}
UNITS = {"date-time": None, "scaler_unit": None, "boolean": None, "deg": UNIT_NUMBERS["°"], "": None}


def facts() -> dict[tuple[str, str], list[dict[str, str]]]:
    """The rows by (profile, kind of meter), in order."""
    lists: dict[tuple[str, str], list[dict[str, str]]] = {}
    with FACTS.open(newline="") as file:
        for row in csv.DictReader(file):
            profile, kind = row["profile"], row["meter_kind"]
            if profile.endswith("_part1_static"):
                profile, kind = profile.removesuffix("_part1_static"), f"part1_{kind}"
            lists.setdefault((profile, kind), []).append(row)
    return lists


LISTS = facts()


def columns_of(meter_type: MeterType, profile: str) -> tuple[Column, ...]:
    if profile in PUSHES:
        return meter_type.pushes[PUSHES[profile]].columns
    return meter_type.profiles[profile].columns


def captured(rows: list[dict[str, str]]) -> list[CaptureObject]:
    return [CaptureObject(int(row["class"]), Obis.parse(row["obis"]), int(row["attribute"])) for row in rows]


def plain_lists() -> Iterator[Any]:
    for profile, kind in LISTS:
        if not profile.startswith("scaler_"):
            yield pytest.param(profile, kind, id=f"{profile}-{kind}")


PLAIN_LISTS = list(plain_lists())


def test_the_list_of_columns_is_whole() -> None:
    assert sum(map(len, LISTS.values())) == 1367
    assert {kind for _, kind in LISTS} == set(TYPES)


@pytest.mark.parametrize(("profile", "kind"), PLAIN_LISTS)
def test_every_known_column_is_in_its_type_in_its_place(profile: str, kind: str) -> None:
    wanted = captured(LISTS[profile, kind])
    meter_type = load_meter_type(TYPES[kind])
    builds = [columns_of(meter_type, profile)]
    for quirk in OTHER_BUILDS.get(kind, ()):
        builds.append(columns_of(load_meter_type(f"{TYPES[kind]}+{quirk}"), profile))
    for build in builds:
        places = iter(wanted)
        assert all(column.captured in places for column in build), "in the order of the facts"
    assert {column.captured for build in builds for column in build} == set(wanted)
    if kind not in OTHER_BUILDS:
        assert [column.captured for column in builds[0]] == wanted


@pytest.mark.parametrize(("profile", "kind"), PLAIN_LISTS)
def test_every_known_unit_is_in_its_type(profile: str, kind: str) -> None:
    documented = {column.captured: column for column in columns_of(load_meter_type(TYPES[kind]), profile)}
    for one, row in zip(captured(LISTS[profile, kind]), LISTS[profile, kind], strict=True):
        if one not in documented or one.class_id not in (3, 4):
            continue
        column = documented[one]
        if row["unit"] == "date-time":
            assert column.date_time or (column.captured.obis == Obis(0, 0, 0, 1, 2) and column.unit == 255)
        elif row["unit"]:
            unit = UNITS.get(row["unit"]) or UNIT_NUMBERS[row["unit"]]
            assert column.unit == unit, f"{one} counts {row['unit']}"
        else:
            assert column.unit in (None, 255)


@pytest.mark.parametrize("kind", ["ltct", "htct"])
@pytest.mark.parametrize("profile", ["instantaneous", "block_load", "daily_load", "billing", "event"])
def test_scaler_profiles_are_as_read_from_a_meter(profile: str, kind: str) -> None:
    name = "event_voltage" if profile == "event" else profile
    scaled = load_meter_type(TYPES[kind]).profiles[name].scaler_objects
    assert list(scaled) == captured(LISTS[f"scaler_{profile}", kind])


@pytest.mark.parametrize("name", [name for name in meter_types() if name.startswith("is15959")])
def test_indian_types_know_their_profiles_by_the_codes_of_the_standard(name: str) -> None:
    meter_type = load_meter_type(name)
    codes = {one.name: (str(one.obis), str(one.scaler_obis)) for one in meter_type.profiles.values()}
    assert codes["instantaneous"] == ("1.0.94.91.0.255", "1.0.94.91.3.255")
    assert codes["block_load"] == ("1.0.99.1.0.255", "1.0.94.91.4.255")
    assert codes["daily_load"] == ("1.0.99.2.0.255", "1.0.94.91.5.255")
    assert codes["billing"] == ("1.0.98.1.0.255", "1.0.94.91.6.255")
    assert meter_type.nameplate == Obis(0, 0, 94, 91, 10)
    assert meter_type.zone == "Asia/Kolkata"
    assert meter_type.outage_habit.rows == "zero-filled"
    assert meter_type.doubts
    for profile in meter_type.of_kind("event_log"):
        assert profile.event_log is not None
        group = GROUPS[profile.event_log.group]
        assert (profile.obis, profile.event_log.code.obis) == (group.log, group.code)
        assert profile.event_log.sequence is None or profile.event_log.sequence.obis == group.sequence


def test_each_part_of_the_standard_has_its_own_logs_and_its_own_controls() -> None:
    logs = {name: len(load_meter_type(name).of_kind("event_log")) for name in TYPES.values()}
    assert logs == {
        "is15959-1ph": 7,
        "is15959-3ph": 7,
        "is15959-ltct": 6,
        "is15959-htct": 6,
        "is15959-part1-1ph": 5,
        "is15959-part1-3ph": 6,
    }
    for name in TYPES.values():
        meter_type = load_meter_type(name)
        assert ("disconnect" in meter_type.controls) == (name in ("is15959-1ph", "is15959-3ph"))
        assert bool(meter_type.pushes) == ("part1" not in name)
        assert any(one.ciphered for one in meter_type.associations.values()) == ("part1" not in name)
        assert (meter_type.ratios is not None) == (name not in ("is15959-1ph", "is15959-3ph", "is15959-part1-1ph"))


def test_a_type_may_leave_all_columns_to_the_meter() -> None:
    generic = load_meter_type("generic-dlms")
    assert generic.profiles
    assert all(profile.capture_objects == () for profile in generic.profiles.values())


def test_ranges_stand_for_columns_code_by_code_and_attribute_by_attribute() -> None:
    columns = parse_columns("4/1.0.1.6.0-1.255/2,5 -1 W")
    assert [(str(one.captured), one.scaler, one.unit, one.date_time) for one in columns] == [
        ("4/1.0.1.6.0.255/2", -1, 27, False),
        ("4/1.0.1.6.0.255/5", None, None, True),
        ("4/1.0.1.6.1.255/2", -1, 27, False),
        ("4/1.0.1.6.1.255/5", None, None, True),
    ]
