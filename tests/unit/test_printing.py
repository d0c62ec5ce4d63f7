"""Meters and completeness as people are shown them."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from headend.printing import completeness_table, print_meters
from headend.registry import Meter
from headend.store.status import Completeness

START = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
"""2026-01-01 00:00 in India."""


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
