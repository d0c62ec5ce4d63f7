"""Mapping files of a utility's own, and how wrong ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiles.errors import SettingsError
from profiles.mappings import Mapped, Unmapped, load_mapping
from profiles.mappings.codes import EndDeviceCode, ReadingQuality, ReadingType
from profiles.objects import Obis

HEAD = 'extends = "default"\ntitle = "Our MDM"\n'


def written(directory: Path, text: str) -> Path:
    path = directory / "ours.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_utilitys_file_holds_only_what_differs(tmp_path: Path) -> None:
    ours = load_mapping(
        written(
            tmp_path,
            HEAD
            + """
[readings.block_load]
wh_import = { code = "0.0.{period}.4.1.{commodity}.12.0.0.0.0.0.0.0.0.0.72.0" }
voltage = { unmapped = "our MDM stores no voltages" }

[readings.billing]
"1.0.1.8.1-2" = { code = "13.0.0.9.1.{commodity}.12.0.0.0.0.{rate}.0.0.0.3.72.0" }

[events]
101 = { code = "3.26.9.185", note = "as our MDM has always had it" }
"4711, 4713-4714" = { code = "3.12.0.999" }
""",
        )
    )
    default = load_mapping()
    assert (ours.name, ours.title) == ("ours", "Our MDM")
    assert str(ours.interval_reading("wh_import", 900)) == "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"
    assert ours.interval_reading("voltage", 900) == Unmapped("our MDM stores no voltages")
    assert ours.interval_reading("wh_export", 900) == default.interval_reading("wh_export", 900)
    assert str(ours.reading("billing", Obis.parse("1.0.1.8.2"))) == "13.0.0.9.1.1.12.0.0.0.0.2.0.0.0.3.72.0"
    assert ours.reading("billing", Obis.parse("1.0.1.8.3")) == default.reading("billing", Obis.parse("1.0.1.8.3"))
    assert ours.event(101) == Mapped(EndDeviceCode(3, 26, 9, 185), "own", "as our MDM has always had it")
    assert ours.event(4714) == Mapped(EndDeviceCode(3, 12, 0, 999), "own")
    assert isinstance(ours.event(4712), Unmapped)
    assert ours.controls == default.controls


def test_a_file_that_builds_on_nothing_knows_only_its_own(tmp_path: Path) -> None:
    ours = load_mapping(str(written(tmp_path, 'title = "Bare"\n[qualities]\ngood = { code = "3.0.0" }\n')))
    assert ours.qualities == {"good": Mapped(ReadingQuality(3, 0, 0), "own")}
    assert ours.event(101) == Unmapped("the mapping ours says nothing of event 101")


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ('[events]\n101 = { code = "3.26.0" }', 4, "101: '3.26.0' is not an end device's event or control type"),
        ('[events]\n101 = { code = "3.26.0.-47" }', 4, "has a number that"),
        ('[events]\n101 = { code = "3.26.0.999999" }', 4, "is not an end device's"),
        ('[events]\n101 = { grade = "seen" }', 4, "neither code nor unmapped"),
        ('[events]\n101 = { unmapped = "no", code = "3.26.0.47" }', 4, "unmapped stands alone"),
        ('[events]\n101 = { unmapped = "" }', 4, "unmapped must be text"),
        ('[events]\n101 = { code = "3.26.0.47", grade = "sure" }', 4, "grade: 'sure' is none of seen, retyped"),
        ('[events]\n101 = { code = "3.26.0.47", nota = "x" }', 4, "nota is not a key of a line"),
        ('[events]\n101 = "3.26.0.47"', 4, 'must be { code = "…" }'),
        ('[events]\n"power" = { code = "3.26.0.47" }', 4, "'power' is not a whole number from 0 to 65535"),
        ('[events]\n"4-1" = { code = "3.26.0.47" }', 4, "'4-1' is no range"),
        ('[events]\n"1-60000" = { code = "3.26.0.47" }', 4, "is no range of up to 256"),
        ('[events]\n7 = { code = "3.9.9.9" }\n"5-8" = { code = "3.9.9.8" }', 5, "7 stands in line 4 already"),
        ('[events]\n7 = { code = "3.9.9.9" }\n8 = { code = "3.9.9.9" }', 5, "gives the same code to 7"),
        ('[events]\n7 = { code = "3.26.136.47" }', 4, "gives the same code to 85"),
        ('[status_bits]\n128 = { code = "3.26.0.47" }', 4, "'128' is not a whole number from 0 to 127"),
        ('[qualities]\npartly = { code = "1.4.2" }', 4, "'partly' is not known here"),
        ('[controls]\nexplode = { code = "3.31.0.1" }', 4, "'explode' is not known here"),
        ('[readings.block_load]\nwatts = { unmapped = "why not" }', 4, "'watts' is not known here"),
        ('[readings.billing]\n"1.0.1" = { unmapped = "why not" }', 4, "is not an OBIS code"),
        ('[readings.hourly]\n"1.0.1.8.0" = { unmapped = "why not" }', 3, "hourly: is none of the profiles"),
        ('[reading]\n"1.0.1.8.0" = { unmapped = "why not" }', 3, "reading: is not a part of a mapping"),
        (
            '[readings.block_load]\nwh_import = { code = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.71.0" }',
            4,
            "the unit of wh_import is 72 in a reading type, not 71",
        ),
        (
            '[readings.block_load]\npower_factor = { code = "0.2.2.6.0.1.38.0.0.0.0.0.0.0.0.0.38.0" }',
            4,
            "the unit of power_factor is 65",
        ),
        (
            '[readings.block_load]\nwh_import = { code = "0.0.{block}.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0" }',
            4,
            "{block} cannot be open here; period, commodity can",
        ),
        (
            '[readings.billing]\n"1.0.1.8.0" = { code = "8.0.{period}.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0" }',
            4,
            "{period} cannot be open here; block, commodity, rate can",
        ),
        (
            '[readings.billing]\n"1.0.1.8.0" = { code = "8.0.{block.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0" }',
            4,
            "is not a reading type",
        ),
        (
            '[readings.billing]\n"1.0.1.8.0" = { code = "8.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72" }',
            4,
            "is not a reading type, 18 numbers",
        ),
    ],
)
def test_a_wrong_line_is_refused_by_file_and_line(tmp_path: Path, body: str, line: int, message: str) -> None:
    path = written(tmp_path, HEAD + body + "\n")
    with pytest.raises(SettingsError) as refused:
        load_mapping(path)
    assert str(refused.value).startswith(f"{path}:{line}: ")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: title: must be text"),
        ("title = 7\n", ":1: title: must be text"),
        ('title = "A"\nextends = "nowhere"\n', ":2: extends: there is no mapping 'nowhere'"),
        ('title = "A"\nextends = 7\n', ":2: extends: there is no mapping 7"),
        ('title = "A"\nreadings = 7\n', ":2: readings: must be a table"),
        ('title = "A"\nevents = 7\n', ":2: events: must be a table"),
        ('title = "A\n', ": not TOML: "),
    ],
)
def test_a_wrong_head_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        load_mapping(path)
    assert str(refused.value).startswith(f"{path}{message}")


def test_a_mapping_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no mapping 'nowhere' .*known: default, idis"):
        load_mapping("nowhere")
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read"):
        load_mapping(tmp_path / "none.toml")
    path = tmp_path / "big.toml"
    path.write_text("#" * 300_000)
    with pytest.raises(SettingsError, match="not a mapping"):
        load_mapping(path)


@pytest.mark.parametrize("text", ["", "1", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19", "a" * 100_000])
def test_what_is_no_reading_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a reading type"):
        ReadingType.parse(text)


def test_a_multiplier_may_be_negative_but_nothing_else() -> None:
    assert ReadingType.parse("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.-3.72.0").multiplier == -3
    for text in ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.-13.72.0", "0.0.2.4.1.1.-12.0.0.0.0.0.0.0.0.3.72.0"):
        with pytest.raises(ValueError, match="no reading type can have"):
            ReadingType.parse(text)
