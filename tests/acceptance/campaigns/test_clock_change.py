"""A utility whose zone changes its clocks: days of 25 and of 23 hours have 100 and 92 quarters, each stored once."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from campaign import Campaign
from terminal import Meters

ZONE = "Europe/Berlin"


def meters_around(campaign: Campaign, day: date, count: int) -> Meters:
    """Meters whose clocks show noon of the day after in UTC; commissioned when the day before began in the zone."""
    start, end = (
        datetime.combine(day + timedelta(days=days), time(), ZoneInfo(ZONE)).astimezone(UTC) for days in (-1, 1)
    )
    folder = campaign.terminal.folder
    registry, expect = folder / "meters.csv", folder / "expect.csv"
    times = ("--start", start.isoformat(), "--end", end.isoformat(), "--at", f"{day + timedelta(days=1)}T12:00Z")
    files = ("--registry", registry, "--expect", expect, "--port", "0")
    program = campaign.terminal.start("simulate", "--json", "--meters", str(count), *files, *times)
    ready = json.loads(program.says(r'\{"meters".*\}', of="out")[0])
    return Meters(program, ready["port"], registry, expect, start, end)


@pytest.mark.parametrize(("day", "quarters"), [(date(2026, 10, 25), 100), (date(2026, 3, 29), 92)])
def test_a_day_on_which_clocks_change_has_all_its_quarters(campaign: Campaign, day: date, quarters: int) -> None:
    campaign.environment["HEADEND_UTILITY__ZONE"] = ZONE
    meters = meters_around(campaign, day, campaign.scale.pick(5, 1000))
    campaign.register(meters)
    campaign.run("collect", "--once", "--at", f"{day + timedelta(days=1)}T13:00")
    counted = campaign.ask("SELECT DISTINCT due, stored FROM meter_day WHERE profile = 'block_load' AND day = %s", day)
    assert counted == [(quarters, quarters)]
    campaign.check(meters)
