from __future__ import annotations

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
        ("server_sap = 1", "", "server_sap", "missing"),
        ('stamp = "end"', "", "profiles.block_load.stamp", "missing"),
        ('stamp = "end"', 'stamp = "middle"', "profiles.block_load.stamp", "one of start, end"),
        ('stamp = "end"', "stamp = 3", "profiles.block_load.stamp", "one of start, end"),
        ("capture_period_s = 900", "capture_period_s = 900.0", "profiles.block_load.capture_period_s", "whole number"),
        ("capture_period_s = 900", "capture_period_s = true", "profiles.block_load.capture_period_s", "whole number"),
        ("depth_days = 35", "depth_days = 0", "profiles.block_load.depth_days", "from 1"),
        ('obis = "1.0.99.1.0.255"', 'obis = "1.0.99.1.0.256"', "profiles.block_load.obis", "not an OBIS code"),
        ("0.0.43.1.2.255", "0.0.43.1", "associations.meter_reader.invocation_counter", "not an OBIS code"),
        ("3/1.0.12.27.0.255/2", "1.0.12.27.0.255", "profiles.block_load.capture_objects", "class/OBIS/attribute"),
        ("3/1.0.12.27.0.255/2", "3/1.0.1.29.0.255/2", "profiles.block_load.capture_objects", "twice"),
        ('"1/0.0.96.1.0.255/2"', '"1/0.0.96.1.0.255/200"', "serial", "class/OBIS/attribute"),
        ('"meter_reader"', '"meter_writer"', "reading_association", "one of public, meter_reader"),
        ("mechanism = 1", "mechanism = 8", "associations.meter_reader.mechanism", "one of 0, 1, 2, 3"),
        ("0x30", "0x40", "associations.meter_reader.security_control", "one of"),
        ("max_pdu = 560", "max_pdu = 65536", "associations.public.max_pdu", "whole number"),
        ("Asia/Kolkata", "Asia/Atlantis", "zone", "no time zone"),
        ("Asia/Kolkata", "../../etc/passwd", "zone", "no time zone"),
        ("doubts = [", "doubts = [1, ", "doubts", "list of texts"),
        ("[associations.public]", "[associations.Public-1]", "associations.Public-1", "small letters"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_key(altered, old: str, new: str, key: str, words: str) -> None:
    path = altered(old, new)
    with pytest.raises(SettingsError) as caught:
        load_meter_type(path)
    assert str(caught.value).startswith(f"{path}: {key}: ")
    assert words in str(caught.value)


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
