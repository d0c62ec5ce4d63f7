from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from profiles.channels import CHANNELS, COLUMNS
from profiles.errors import SettingsError
from profiles.loader import load_meter_type, meter_types
from profiles.objects import CaptureObject, Obis

BUNDLED = Path(__file__).parents[2] / "profiles" / "types" / "is15959-1ph.toml"
FOREIGN = Path(__file__).parents[1] / "interop" / "pydlms-sim.toml"


@pytest.fixture
def altered(tmp_path: Path):
    """A copy of the bundled type with one text replaced by another."""

    def alter(old: str, new: str) -> Path:
        text = BUNDLED.read_text()
        assert old in text
        path = tmp_path / "altered.toml"
        path.write_text(text.replace(old, new, 1))
        return path

    return alter


def test_the_indian_single_phase_type_loads_by_name() -> None:
    meter_type = load_meter_type("is15959-1ph")
    assert meter_type.name == "is15959-1ph"
    assert (meter_type.zone, meter_type.deviation, meter_type.server_sap) == ("Asia/Kolkata", "ignore", 1)
    assert {name: one.client_sap for name, one in meter_type.associations.items()} == {
        "public": 16,
        "meter_reader": 32,
        "utility_setting": 48,
        "push": 64,
        "firmware_upgrade": 80,
        "in_home_display": 96,
    }
    reader = meter_type.associations[meter_type.reading_association]
    assert (reader.mechanism, reader.security_control, reader.ciphered) == (1, 0x30, True)
    assert reader.invocation_counter == Obis(0, 0, 43, 1, 2)
    assert not meter_type.associations["public"].ciphered
    block_load = meter_type.profiles["block_load"]
    assert (block_load.scaler_obis, block_load.stamp, block_load.selective_access) == (
        Obis(1, 0, 94, 91, 4),
        "end",
        "range",
    )
    assert block_load.capture_objects[0] == CaptureObject(8, Obis(0, 0, 1, 0, 0), 2)
    assert len(block_load.capture_objects) == 9


def test_every_bundled_type_loads() -> None:
    assert "is15959-1ph" in meter_types()
    for name in meter_types():
        assert load_meter_type(name).name == name


def test_a_foreign_meter_is_only_a_file() -> None:
    meter_type = load_meter_type(FOREIGN)
    profile = meter_type.profiles["block_load"]
    assert (profile.scaler_obis, profile.selective_access, profile.stamp) == (None, "entry", "start")
    assert meter_type.associations["gmac"].mechanism == 5
    assert meter_type.nameplate is None


def test_every_block_load_column_of_the_indian_type_but_the_clock_has_a_channel() -> None:
    objects = load_meter_type("is15959-1ph").profiles["block_load"].capture_objects
    assert [captured for captured in objects if captured[:3] not in CHANNELS] == [objects[0]]


def test_columns_of_one_name_agree_on_unit_and_exponent() -> None:
    for channel in CHANNELS.values():
        column = COLUMNS[channel.name]
        assert (channel.unit, channel.exponent) == (column.unit, column.exponent)
    assert len(COLUMNS) == len({channel.name for channel in CHANNELS.values()})


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("server_sap = 1", "server_sap = 1\ncolour = 3", "colour", "not a key"),
        ("client_sap = 32", "client_sap = 32\nsecret = 'x'", "associations.meter_reader.secret", "not a key"),
        ('stamp = "end"', 'stamp = "middle"', "profiles.block_load.stamp", "one of start, end"),
        ('stamp = "end"', "stamp = 3", "profiles.block_load.stamp", "one of start, end"),
        ("capture_period_s = 900", "capture_period_s = 900.0", "profiles.block_load.capture_period_s", "whole number"),
        ("capture_period_s = 900", "capture_period_s = true", "profiles.block_load.capture_period_s", "whole number"),
        ("depth_days = 35", "depth_days = 0", "profiles.block_load.depth_days", "from 1"),
        ('"1.0.99.1.0.255"', '"1.0.99.1.0.256"', "profiles.block_load.obis", "not an OBIS code"),
        ("0.0.43.1.2.255", "0.0.43.1", "associations.meter_reader.invocation_counter", "not an OBIS code"),
        ("3/1.0.12.27.0.255/2 V", "1.0.12.27.0.255", "profiles.block_load.capture_objects", "class/OBIS/attribute"),
        (
            "3/1.0.12.27.0.255/2 V",
            "3/1.0.12.27.0.255/2 Volt",
            "profiles.block_load.capture_objects",
            "'Volt' is no unit",
        ),
        ("1/0.0.96.10.1.255/2", "1/0.0.96.10.1.255/2 V", "profiles.block_load.capture_objects", "neither scaler"),
        ("3/1.0.12.27.0.255/2 V", "3/1.0.12.27-5.0.255/2", "profiles.block_load.capture_objects", "or a range"),
        ("3/1.0.12.27.0.255/2 V", "3/1.0.0-99.0-9.0/2", "profiles.block_load.capture_objects", "more than 256"),
        ("1/0.0.96.10.1.255/2", "3/1.0.1.29.0.255/2", "profiles.block_load.capture_objects", "twice"),
        ('"1/0.0.96.1.0.255/2"', '"1/0.0.96.1.0.255/200"', "serial", "attribute 200"),
        ('"1/0.0.96.1.0.255/2"', '"3/1.0.1.8.0-8.255/2"', "serial", "class/OBIS/attribute"),
        ('"meter_reader"', '"meter_writer"', "reading_association", "one of public, meter_reader"),
        ("mechanism = 1", "mechanism = 8", "associations.meter_reader.mechanism", "one of 0, 1, 2, 3"),
        ("0x30", "0x40", "associations.meter_reader.security_control", "one of"),
        ("client_sap = 32", "client_sap = 16", "associations.meter_reader.client_sap", "client of public as well"),
        ("max_pdu = 560", "max_pdu = 65536", "associations.public.max_pdu", "whole number"),
        ("Asia/Kolkata", "Asia/Atlantis", "zone", "no time zone"),
        ("Asia/Kolkata", "../../etc/passwd", "zone", "no time zone"),
        ('mechanism = "Ano', 'mechanism = 3 # "Ano', "doubts.mechanism", "must be text"),
        ("[associations.public]", "[associations.Public-1]", "associations.Public-1", "small letters"),
        (
            'obis = "1.0.99.2.0.255"',
            'obis = "1.0.99.1.0.255"',
            "profiles.daily_load.obis",
            "that of profile block_load",
        ),
        ('"1.0.94.91.5.255"', '"1.0.98.1.0.255"', "profiles.daily_load.scaler_obis", "that of profile billing"),
        ('"current"', '"voltage"', "profiles.event_current.event_log.group", "codes 1 to 50 are in event_voltage"),
        (
            'code = "1/0.0.96.11.1',
            'code = "1/0.0.96.11.0',
            "profiles.event_current.event_log.code",
            "none of the log's",
        ),
        ('scalers_of = "block_load"', "# none", "pushes.block_load.columns", "has no scaler"),
        ('scalers_of = "block_load"', 'scalers_of = "lode"', "pushes.block_load.scalers_of", "no profile lode"),
        ("3/1.0.1.8.0.255/2 Wh", "3/1.0.1.8.0.255/2 VAh", "profiles.daily_load.capture_objects", "counts Wh here"),
        ('obis = "0.5.25.9.0.255"', 'obis = "0.4.25.9.0.255"', "pushes.block_load.obis", "that of push alert"),
        ('["authentication-and-encryption"]', '["enciphered"]', "push_rules.covers", "none of clear"),
        ('keys_of = "push"', 'keys_of = "nobody"', "push_rules.keys_of", "no association"),
        ("[controls.firmware_upgrade]", "[controls.janitor]", "controls.janitor", "no association"),
        ('"70/0.0.96.3.10.255"', '"0.0.96.3.10.255"', "controls.utility_setting.disconnect", "class/OBIS"),
        ("lost_before = 2019", "lost_before = 19", "clock_habit.lost_before", "from 1990"),
    ],
)
def test_a_wrong_file_is_refused_by_name_line_and_key(altered, old: str, new: str, key: str, words: str) -> None:
    path = altered(old, new)
    with pytest.raises(SettingsError) as caught:
        load_meter_type(path)
    place, _, message = str(caught.value).partition(f": {key}: ")
    assert words in message
    file, _, line = place.rpartition(":")
    assert file == str(path)
    text = path.read_text().splitlines()[int(line) - 1]
    assert key.rpartition(".")[2] in text or new.strip().splitlines()[-1] in text or "3/1.0." in text


@pytest.mark.parametrize(
    ("old", "key", "table"),
    [
        ("server_sap = 1\n", "server_sap", None),
        ('stamp = "end"\n', "profiles.block_load.stamp", "[profiles.block_load]"),
        ("max_pdu = 560\n", "associations.public.max_pdu", "[associations.public]"),
    ],
)
def test_a_missing_key_is_told_with_the_line_of_its_table(altered, old: str, key: str, table: str | None) -> None:
    path = altered(old, "")
    with pytest.raises(SettingsError) as caught:
        load_meter_type(path)
    line = "" if table is None else f":{path.read_text().splitlines().index(table) + 1}"
    assert str(caught.value) == f"{path}{line}: {key}: is missing"


def test_a_wrong_column_is_told_with_its_own_line(altered) -> None:
    path = altered("3/1.0.11.27.0.255/2 A", "3/1.0.11.27.0.255/2 Amp")
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if " Amp" in text)
    with pytest.raises(SettingsError, match=rf"altered\.toml:{line}: profiles\.block_load\.capture_objects: 'Amp'"):
        load_meter_type(path)


def test_a_file_that_extends_a_type_changes_only_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(
        'extends = "is15959-1ph"\nwithout = ["controls.utility_setting.disconnect"]\ntitle = "Ours"\n'
        '[profiles.block_load]\ncapture_period_s = 1800\n[doubts]\ndepth = "Ours is deep."\n'
    )
    ours, theirs = load_meter_type(path), load_meter_type("is15959-1ph")
    assert (ours.name, ours.title) == ("ours", "Ours")
    assert ours.profiles["block_load"] == replace(theirs.profiles["block_load"], capture_period_s=1800)
    assert ours.associations == theirs.associations
    assert set(theirs.controls) - set(ours.controls) == {"disconnect"}
    assert set(ours.doubts) - set(theirs.doubts) == {"Ours is deep."}
    assert len(ours.doubts) == len(theirs.doubts)


def test_an_error_in_an_extending_file_names_that_file(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    for text, words in (
        (
            'extends = "is15959-1ph"\n\n[profiles.block_load]\nstamp = "middle"\n',
            ":4: profiles.block_load.stamp: must be",
        ),
        ('extends = "is15959-1ph"\nwithout = ["controls.sun"]\n', ":2: without: there is no controls.sun"),
        ('title = "x"\nextends = "ours.toml"\n', ":2: extends: goes round in a circle"),
        ('extends = "nothing"\n', ":1: extends: there is no meter type 'nothing'"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError) as caught:
            load_meter_type(path)
        assert str(caught.value).startswith(f"{path}{words}")


def test_bad_syntax_is_refused_by_line(altered) -> None:
    path = altered('stamp = "end"', 'stamp = "end')
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if text == 'stamp = "end')
    with pytest.raises(SettingsError, match=rf"altered\.toml: not TOML: .*line {line}"):
        load_meter_type(path)


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"no meter type 'is15959-9ph' \(known: .*is15959-1ph"):
        load_meter_type("is15959-9ph")
    with pytest.raises(SettingsError, match="no meter type"):
        load_meter_type("../types/is15959-1ph")


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_meter_type(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not TOML"):
        load_meter_type(tmp_path / "binary.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * 300_000)
    with pytest.raises(SettingsError, match="larger than"):
        load_meter_type(tmp_path / "large.toml")
