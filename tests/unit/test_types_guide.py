"""What docs/meter-types.md shows works, and it names every key there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from profiles import meter_type as shapes
from profiles.errors import SettingsError
from profiles.loader import load_meter_type

GUIDE = (Path(__file__).parents[2] / "docs" / "meter-types.md").read_text()
EXAMPLE = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)[0]
DERIVED = {"name", "columns", "capture_objects", "nameplate", "quirks", "doubts", "profiles", "pushes", "controls"} | {
    *("associations", "push_rules", "ratios", "status_word", "corrections", "class_id", "association"),
    *("clock_habit", "outage_habit", "buffer_habit", "session_habit", "obis", "event_log", "values"),
}
"""Fields that are tables, or not keys of their own."""


def test_the_example_is_a_valid_type(tmp_path: Path) -> None:
    file = tmp_path / "acme-am3.toml"
    file.write_text(EXAMPLE)
    acme = load_meter_type(file)
    assert acme.profiles["block_load"].selective_access == "entry"
    assert len(acme.profiles["block_load"].columns) == 22
    assert "daily_load" not in acme.pushes


def test_the_error_that_the_guide_shows_is_the_one_that_comes(tmp_path: Path) -> None:
    file = tmp_path / "acme-am3.toml"
    file.write_text(EXAMPLE.replace('selective_access = "entry"', 'selective_access = "entries"'))
    shown = re.search(r"headend: (acme-am3\.toml:\d+: .*)", GUIDE)
    assert shown is not None
    with pytest.raises(SettingsError) as caught:
        load_meter_type(file)
    assert str(caught.value) == f"{tmp_path}/{shown[1]}"


def test_every_key_is_in_the_table() -> None:
    table = GUIDE.split("## What there is to say")[1].split("## A quirk")[0]
    named = set(re.findall(r"\w+", table))
    for shape in (
        *(shapes.MeterType, shapes.Association, shapes.Profile, shapes.EventLog, shapes.Push, shapes.PushRules),
        *(shapes.Ratios, shapes.StatusWord, shapes.ClockHabit, shapes.OutageHabit, shapes.BufferHabit),
        shapes.SessionHabit,
    ):
        missing = {field.name for field in fields(shape)} - named - DERIVED
        assert not missing, shape.__name__
