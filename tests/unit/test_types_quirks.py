"""Each quirk changes what it says, and only on the types and makers that it is of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from profiles import quirks as declarations
from profiles.errors import SettingsError
from profiles.events import event
from profiles.loader import load_for_nameplate, load_meter_type, meter_types
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef, Obis
from profiles.quirks import quirks, quirks_of

ONE, THREE, CT = "is15959-1ph", "is15959-3ph", "is15959-ltct"
STATIC_1, STATIC_3 = "is15959-part1-1ph", "is15959-part1-3ph"
Look = Callable[[MeterType], Any]


def column(profile: str, place: int) -> Look:
    return lambda one: str(one.profiles[profile].capture_objects[place])


def count(profile: str) -> Look:
    return lambda one: len(one.profiles[profile].capture_objects)


def field(table: str, name: str) -> Look:
    return lambda one: getattr(getattr(one, table), name)


def profile(name: str, key: str) -> Look:
    return lambda one: getattr(one.profiles[name], key)


def control(name: str) -> Look:
    return lambda one: str(one.controls[name].obis) if name in one.controls else None


def doubt(words: str) -> Look:
    return lambda one: any(words in text for text in one.doubts)


def scalers(name: str, place: int) -> Look:
    return lambda one: one.profiles[name].columns[place].scaler


CHANGES: dict[str, tuple[str, Look, Any, Any]] = {
    "lt-deviation": (
        CT,
        lambda one: (one.deviation, one.clock_habit.writes),
        ("ignore", "unset"),
        ("local-minus-utc",) * 2,
    ),
    "lt-fixed-scalers": (CT, doubt("hundred-thousandths"), False, True),
    "allied-push-cover": (
        ONE,
        lambda one: (one.push_rules.covers, one.push_rules.counter_rises),
        (("authentication-and-encryption",), True),
        (("encryption",), False),
    ),
    "eppeltone-other-builds": (
        STATIC_1,
        lambda one: (count("block_load")(one), one.outage_habit.logged_after_s),
        (8, 300),
        (7, 60),
    ),
    "eppeltone-effective-current": (STATIC_1, column("block_load", 3), "3/1.0.11.27.0.255/2", "3/1.0.94.91.214.255/2"),
    "eppeltone-coarse": (STATIC_1, doubt("steps of 2 V"), False, True),
    "eppeltone-no-sort-object": (STATIC_1, field("buffer_habit", "newest_last"), True, False),
    "eppeltone-3ph-unset-octets": (
        STATIC_3,
        lambda one: (one.clock_habit.seconds, one.clock_habit.status),
        (True, True),
        (False, False),
    ),
    "eppeltone-3ph-event-scalers": (
        STATIC_3,
        lambda one: str(one.profiles["event_current"].scaler_objects[0]),
        "3/1.0.31.7.0.255/3",
        "3/1.0.31.7.0.255/2",
    ),
    "eppeltone-3ph-tamper-count": (STATIC_3, column("instantaneous", 17), "1/0.0.94.91.0.255/2", "3/0.0.94.91.0.255/2"),
    "eppeltone-3ph-full-snapshots": (STATIC_3, count("event_power"), 2, 12),
    "eppeltone-3ph-export": (STATIC_3, count("billing"), 68, 113),
    "landis-gyr-logs": (ONE, lambda one: len(one.of_kind("event_log")), 7, 10),
    "landis-gyr-pushes": (ONE, lambda one: "self_registration" in one.pushes, False, True),
    "landis-gyr-e450-current": (
        "idis",
        lambda one: one.pushes["on_connectivity"].corrections.get(AttributeRef(3, Obis(1, 0, 31, 7, 0), 2)),
        None,
        -2,
    ),
    "secure-m1xx": (THREE, doubt("current by 1000"), False, True),
    "secure-dlm2506": (THREE, doubt("current by 10 and block"), False, True),
    "genus-hc101": (THREE, doubt("current by 10 on"), False, True),
    "genus-hc001": (THREE, doubt("block energy by 10 on"), False, True),
    "wirepas-pushes": (ONE, lambda one: one.pushes["block_load"].rows_of, None, "block_load"),
    "wirepas-push-keys": (
        ONE,
        lambda one: (one.push_rules.keys_of, one.push_rules.counter_rises),
        ("push", True),
        ("utility_setting", False),
    ),
    "wirepas-no-image-resume": (ONE, field("session_habit", "image_resume"), True, False),
    "retrofit": (ONE, lambda one: one.associations["meter_reader"].needs_keys, True, False),
    "reader-encryption-only": (ONE, lambda one: one.associations["meter_reader"].security_control, 0x30, 0x20),
    "display-pre-established": (ONE, lambda one: one.associations["in_home_display"].pre_established, False, True),
    "nameplate-clock-first": (STATIC_1, column("nameplate", 0), "1/0.0.96.1.0.255/2", "8/0.0.1.0.0.255/2"),
    "nameplate-variant": (ONE, lambda one: str(one.nameplate), "0.0.94.91.10.255", "1.0.94.91.10.255"),
    "scalers-by-profile": (
        STATIC_1,
        lambda one: (scalers("instantaneous", 8)(one), scalers("daily_load", 1)(one)),
        (1, 1),
        (1, 0),
    ),
    "three-billing-rows": (STATIC_1, profile("billing", "depth_rows"), 7, 3),
    "one-event-layout": (STATIC_1, column("event_power", 1), "1/0.0.96.11.2.255/2", "1/0.0.96.11.1.255/2"),
    "daily-export-first": (ONE, column("daily_load", 1), "3/1.0.1.8.0.255/2", "3/1.0.2.8.0.255/2"),
    "varh-before-vah": (THREE, column("block_load", 9), "3/1.0.9.29.0.255/2", "3/1.0.5.29.0.255/2"),
    "signal-strength-register": (ONE, column("block_load", 8), "1/0.1.96.12.5.255/2", "4/0.1.96.12.5.255/2"),
    "power-on-of-electricity": (ONE, column("billing", 24), "3/0.0.94.91.13.255/2", "3/1.0.94.91.13.255/2"),
    "billing-date-as-data": (ONE, column("billing", 0), "3/0.0.0.1.2.255/2", "1/0.0.0.1.2.255/2"),
    "extended-esw": (ONE, lambda one: one.event_maker, None, "extended-esw"),
    "events-csharp-hes": (ONE, lambda one: one.event_maker, None, "csharp-hes"),
    "events-manipur-hes": (ONE, lambda one: one.event_maker, None, "manipur-hes"),
    "events-web-hes": (ONE, lambda one: event(85, one.event_maker).kind == "unknown", True, False),
    "pushes-in-clear": (ONE, field("push_rules", "covers"), ("authentication-and-encryption",), ("clear",)),
    "encrypted-pushes-counter-zero": (ONE, field("push_rules", "counter_rises"), True, False),
    "last-gasp-frame": (ONE, doubt("HDLC UI frame"), False, True),
    "daily-push-off-by-ten": (ONE, lambda one: len(one.pushes["daily_load"].corrections), 0, 4),
    "prepaid-codes": (ONE, control("balance"), "0.0.94.96.24.255", "0.0.94.91.24.255"),
    "several-limits": (ONE, control("load_limit_4"), None, "0.0.17.0.4.255"),
    "deviation-zero": (ONE, field("clock_habit", "writes"), "unset", "zero"),
    "seconds-unset": (ONE, field("clock_habit", "seconds"), True, False),
    "deviation-in-dlms-sense": (ONE, lambda one: one.deviation, "ignore", "utc-minus-local"),
    "selection-needs-deviation": (ONE, field("clock_habit", "selector"), "unset", "utc-minus-local"),
    "entry-only": (ONE, profile("block_load", "selective_access"), "range", "entry"),
    "no-selection": (ONE, profile("block_load", "selective_access"), "range", "none"),
    "first-bound-excluded": (ONE, field("buffer_habit", "first_excluded"), False, True),
    "bounds-on-period": (ONE, field("buffer_habit", "bounds_on_period"), False, True),
    "no-open-end": (ONE, field("buffer_habit", "entry_to_last"), True, False),
    "newest-not-last": (ONE, field("buffer_habit", "newest_last"), True, False),
    "null-compressed": (ONE, profile("block_load", "null_data"), "missing", "repeat"),
    "no-release": (ONE, field("session_habit", "release"), True, False),
    "pause-after-public": (ONE, field("session_habit", "pause_s"), 0, 1),
    "block-number-not-reset": (ONE, field("session_habit", "fresh_after_error"), False, True),
    "kamstrup-ct-currents": ("han-kamstrup", lambda one: one.pushes["list"].columns[7].scaler, -2, -3),
}
"""By name: a type it is of, where to look, what stands there without it and with it."""


def test_every_quirk_is_shown_to_change_what_it_says() -> None:
    assert sorted(CHANGES) == sorted(quirks())


@pytest.mark.parametrize("name", CHANGES)
def test_a_quirk_changes_what_it_says(name: str) -> None:
    of, look, without, with_it = CHANGES[name]
    plain, changed = load_meter_type(of), load_meter_type(f"{of}+{name}")
    assert (look(plain), look(changed)) == (without, with_it)
    assert (changed.name, changed.quirks) == (f"{of}+{name}", (name,))


@pytest.mark.parametrize("name", CHANGES)
def test_a_quirk_makes_a_valid_type_of_every_type_that_it_is_of(name: str) -> None:
    fitting = [one for one in meter_types() if quirks()[name].fits(one)]
    assert fitting
    for one in fitting:
        plain, changed = load_meter_type(one), load_meter_type(f"{one}+{name}")
        assert replace(changed, name=one, quirks=()) != plain


@pytest.mark.parametrize(
    ("of", "maker", "firmware", "expected"),
    [
        (CT, "L&T", "1.0", ("lt-deviation", "lt-fixed-scalers")),
        (CT, "LARSEN AND TOUBRO\0\0", "1.0", ("lt-deviation", "lt-fixed-scalers")),
        (ONE, "Allied Engineering", "V1", ("allied-push-cover",)),
        (ONE, "Genus Power", "HC101.594", ("genus-hc101",)),
        (ONE, "Genus Power", "XY101", ()),
        (ONE, "Satpura Meters", "SM1P-2.04", ()),
        ("idis", "Landis+Gyr", "E450.2", ("landis-gyr-e450-current",)),
        (ONE, "", "", ()),
    ],
)
def test_quirks_are_found_by_the_nameplate(of: str, maker: str, firmware: str, expected: tuple[str, ...]) -> None:
    assert load_for_nameplate(of, maker, firmware).quirks == expected


def test_a_nameplate_adds_to_the_quirks_that_a_type_is_named_with() -> None:
    found = load_for_nameplate(f"{CT}+no-release+lt-deviation", "L&T", "1.0")
    assert found.quirks == ("no-release", "lt-deviation", "lt-fixed-scalers")
    assert found.name == f"{CT}+no-release+lt-deviation+lt-fixed-scalers"


def test_a_type_from_a_file_has_the_quirks_that_are_of_types_of_its_name(tmp_path: Path) -> None:
    file = tmp_path / f"{CT}.toml"
    file.write_text(f'extends = "{CT}"\ntitle = "Ours"\n')
    assert load_for_nameplate(str(file), "L&T", "1.0").quirks == ("lt-deviation", "lt-fixed-scalers")


def test_all_meters_that_are_alike_share_one_type_however_many_firmwares_there_are() -> None:
    fleet = {id(load_for_nameplate(CT, "L&T", f"1.{meter % 50}")) for meter in range(1000)}
    assert len(fleet) == 1
    assert load_for_nameplate(CT, "L&T", "1.0") is not load_for_nameplate(CT, "Genus", "1.0")


def test_quirks_of_unknown_makers_are_never_found_by_nameplate() -> None:
    by_name_alone = [quirk for quirk in quirks().values() if not quirk.maker]
    assert "no-release" in [quirk.name for quirk in by_name_alone]
    for quirk in by_name_alone:
        assert not any(quirk.matches(one, maker, "1") for one in meter_types() for maker in ("", "x", "Eppeltone"))


def test_several_quirks_are_laid_over_each_other_in_order() -> None:
    both = load_meter_type(f"{ONE}+no-release+entry-only")
    assert (both.session_habit.release, both.profiles["daily_load"].selective_access) == (False, "entry")
    assert both.name == "is15959-1ph+no-release+entry-only"
    last = load_meter_type(f"{ONE}+pushes-in-clear+allied-push-cover")
    assert last.push_rules.covers == ("encryption",)


def test_a_quirk_that_is_unknown_or_of_other_types_is_refused() -> None:
    with pytest.raises(SettingsError, match="there is no quirk 'haste'"):
        load_meter_type(f"{ONE}+haste")
    with pytest.raises(SettingsError, match=r"eppeltone-coarse is none of meter type is15959-1ph .*is15959-part1-1ph"):
        load_meter_type(f"{ONE}+eppeltone-coarse")


def test_every_indian_type_has_quirks_to_choose_from() -> None:
    for name in (ONE, THREE, CT, STATIC_1, STATIC_3):
        assert len(quirks_of(name)) > 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[quirk]]\nname = "a"\n', ":1: quirk.0.changes: is missing"),
        (
            '[[quirk]]\nname = "a"\ntitle = "A"\ntypes = ["x"]\nsource = "s"\ncolour = 1\n[quirk.changes]\n',
            ":6: quirk.0.colour: is not a key",
        ),
        ("[quirk]\n", ":1: quirk: must be one or more tables"),
        (
            '[[quirk]]\nname = "a"\ntitle = "A"\ntypes = ["x"]\nsource = "s"\n[quirk.changes]\n'
            '[[quirk]]\nname = "a"\ntitle = "A"\ntypes = ["x"]\nsource = "s"\n[quirk.changes]\n',
            ":8: quirk.1.name: a is the name of another",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_by_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "maker.toml"
    file.write_text(text)
    monkeypatch.setattr(declarations, "_MAKERS", tmp_path)
    quirks.cache_clear()
    try:
        with pytest.raises(SettingsError) as caught:
            quirks()
    finally:
        quirks.cache_clear()
    assert str(caught.value).startswith(f"{file}{words}")


def test_a_wrong_change_is_refused_by_the_line_of_its_declaration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "maker.toml"
    file.write_text(
        '[[quirk]]\nname = "a"\ntitle = "A"\ntypes = ["*"]\nsource = "s"\n[quirk.changes]\nzone = "Asia/Atlantis"\n'
    )
    monkeypatch.setattr(declarations, "_MAKERS", tmp_path)
    quirks.cache_clear()
    try:
        with pytest.raises(SettingsError) as caught:
            load_meter_type(f"{ONE}+a")
    finally:
        quirks.cache_clear()
    assert str(caught.value).startswith(f"{file}:7: zone: 'Asia/Atlantis'")
