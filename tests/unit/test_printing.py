"""Intervals and meters as people and programs are shown them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from rich.console import Console

from drivers.reading import Layout
from headend.printing import Form, completeness_table, print_intervals, print_meters
from headend.registry import Meter
from headend.single_read import Answer
from headend.store.status import Completeness
from profiles.intervals import IntervalBatch, Quality, Suspect
from profiles.loader import load_meter_type

START = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
"""2026-01-01 00:00 in India."""
QUARTER = timedelta(minutes=15)


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def answer(**changes: object) -> Answer:
    """Three intervals from half past eleven on, of which the first begins before the range that was asked."""
    batch = IntervalBatch(
        start=np.array([microseconds(START + step * QUARTER) for step in (-1, 0, 1)], np.int64),
        interval_s=900,
        quality=np.array([0, Quality.POWER_FAIL | Quality.CLOCK_SUSPECT, 0], np.int32),
        values={
            "voltage": np.array([1, 230_150, 0], np.int64),
            "wh_import": np.array([1, 12_345_678, 100], np.int64),
            "signal_strength": np.array([1, -71, -70], np.int64),
        },
        nulls={"voltage": np.array([False, False, True])},
        suspects=(Suspect("off the grid of the capture period", b"\x07\xea", b"\x02\x01"),),
    )
    made = Answer(
        address="tcp://[fe80::1]:4059",
        system_title=b"SMA12345",
        meter_type=load_meter_type("is15959-1ph"),
        layout=Layout((), {}, 900),
        start=START,
        end=START + 2 * QUARTER,
        batch=batch,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_json_holds_local_starts_si_units_marks_and_suspects(capsys: pytest.CaptureFixture[str]) -> None:
    print_intervals(answer(), Form.JSON)
    document = json.loads(capsys.readouterr().out)
    assert document["system_title"] == "534D413132333435"
    assert document["interval_s"] == 900
    assert document["units"] == {"voltage": "V", "wh_import": "Wh", "signal_strength": ""}
    assert document["intervals"] == [
        {
            "start": "2026-01-01T00:00:00+05:30",
            "voltage": 230.15,
            "wh_import": 12345.678,
            "signal_strength": -71,
            "quality": ["clock_suspect", "power_fail"],
        },
        {
            "start": "2026-01-01T00:15:00+05:30",
            "voltage": None,
            "wh_import": 0.1,
            "signal_strength": -70,
            "quality": [],
        },
    ]
    assert document["suspects"] == [{"reason": "off the grid of the capture period", "stamp": "07ea", "raw": "0201"}]


def test_csv_holds_a_line_an_interval_and_what_is_not_believed_goes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_intervals(answer(), Form.CSV)
    said = capsys.readouterr()
    assert list(csv.reader(io.StringIO(said.out))) == [
        ["start", "interval_s", "voltage", "wh_import", "signal_strength", "quality"],
        ["2026-01-01T00:00:00+05:30", "900", "230.15", "12345.678", "-71", "clock_suspect|power_fail"],
        ["2026-01-01T00:15:00+05:30", "900", "", "0.1", "-70", ""],
    ]
    assert said.err == "headend: not believed, off the grid of the capture period: 0201\n"


def test_a_table_shows_address_title_and_values_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_intervals(answer(), Form.TABLE)
    said = capsys.readouterr()
    assert "tcp://[fe80::1]:4059 · 534D413132333435 · 2 intervals of 15 min" in said.out
    assert "2026-01-01 00:00" in said.out
    assert "12,345.68" in said.out
    assert "clock suspect, power fail" in said.out
    assert "not believed" in said.err


@pytest.mark.parametrize("form", list(Form))
def test_an_answer_without_intervals_is_printed_too(form: Form, capsys: pytest.CaptureFixture[str]) -> None:
    print_intervals(answer(start=START + timedelta(days=1), end=START + timedelta(days=2)), form)
    out = capsys.readouterr().out
    if form is Form.JSON:
        assert json.loads(out)["intervals"] == []
    elif form is Form.CSV:
        assert len(out.splitlines()) == 1
    else:
        assert "0 intervals" in out


def shown(table: object) -> str:
    console = Console(width=400, file=io.StringIO())
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_meters_are_listed_with_every_character_of_what_is_registered(capsys: pytest.CaptureFixture[str]) -> None:
    meter = Meter(
        id=1,
        name="[bold]a[/bold]",
        serial="SMA1",
        system_title=b"SMA12345",
        device_id=None,
        address="tcp://[fe80::1]:4059",
        meter_type="is15959-1ph",
        division="[East]",
        commissioned_at=START,
        interval_s=900,
        parked_reason="serial '[/x]' answers",
        last_contact=START,
        last_error="older",
    )
    print_meters([meter, replace(meter, parked_reason=None, last_contact=None, system_title=None)])
    first, second = (line for line in capsys.readouterr().out.splitlines() if meter.name in line)
    for text in (meter.address, meter.division, "534D413132333435", "2025-12-31 18:30Z"):
        assert text in first
    assert "parked: serial '[/x]' answers" in first
    assert "older" in second


def test_a_hundred_percent_means_all() -> None:
    said = shown(completeness_table([Completeness("[East]", 2, 100_000, 99_999), Completeness("West", 1, 0, 0)]))
    assert "[East]" in said
    assert "99.99 %" in said
    assert "100.00 %" not in said
    assert "–" in said
    assert "100.00 %" in shown(completeness_table([Completeness("East", 2, 96, 96)]))
    assert "all" in shown(completeness_table([]))
