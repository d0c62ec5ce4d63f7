"""Clocks that jump: that of meters in the middle of what they record, an hour ahead or back, and that of the head-end
itself, hours back and a day ahead. What was recorded is stored once, of an hour that came twice the first, marked; what
never was is proven absent, nothing is concluded of what has not ended yet, and nothing is owed."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from campaign import Campaign
from terminal import QUARTER, Meters, last_quarter

from profiles.intervals import Quality

HOUR = timedelta(hours=1)
"""By which a meter's clock jumps."""
SHARE = 3
"""One of so many meters has a clock that jumps."""


def leave_out(meters: Meters, serials: set[str], at: datetime) -> int:
    """Have the answer key say that these meters never recorded what their clocks left out; how many intervals."""
    header, *rows = meters.expect.read_text().splitlines()
    kept = [row for row in rows if not (row.split(",")[0] in serials and at < end_of(row) <= at + HOUR)]
    meters.expect.write_text("\n".join([header, *kept]) + "\n")
    return len(rows) - len(kept)


def end_of(row: str) -> datetime:
    return datetime.fromisoformat(row.split(",")[1]) + QUARTER


def collect(campaign: Campaign, at: datetime) -> None:
    """As the head-end does whose clock shows this."""
    campaign.run("collect", "--once", "--at", f"{at.astimezone(ZoneInfo('Asia/Kolkata')):%Y-%m-%dT%H:%M:%S}")


@pytest.mark.parametrize("ahead", [True, False], ids=["ahead", "back"])
def test_clocks_that_jump_cost_no_interval_that_was_recorded(campaign: Campaign, ahead: bool) -> None:
    count, days = campaign.scale.pick(9, 300), campaign.scale.pick(2, 30)
    end = last_quarter() - 2 * HOUR
    at = end - campaign.random.randrange(8, 96) * QUARTER + timedelta(minutes=campaign.random.randrange(1, 14))
    jump = f"seconds = {3600 if ahead else -3600}, at = {at.isoformat()}"
    jumping = list(range(0, count, SHARE))
    meters = campaign.fleet(count, days=days, faults=f"clock_jump = {{ meters = {jumping}, {jump} }}", end=end)
    serials = {row["serial"] for row in meters.rows[::SHARE]}
    missing = leave_out(meters, serials, at) if ahead else 0
    campaign.register(meters, segments=3)
    now = end + 2 * HOUR
    for clock in (now, now - 3 * HOUR, now + timedelta(days=1)) if ahead else (now,):
        collect(campaign, clock)
    assert campaign.ask("SELECT max(ts) FROM interval_reading WHERE ts >= %s", now + HOUR) == [(None,)]
    proven = "SELECT coalesce(sum(extract(epoch FROM ends - starts))::int / 900, 0) FROM absence"
    assert campaign.ask(proven) == [(missing,)], "and nothing that has not ended"
    twice = campaign.ask("SELECT count(*) FROM interval_reading WHERE quality & %s > 0", Quality.DUPLICATE_STAMP.value)
    assert twice == [(0 if ahead else 4 * len(serials),)]
    campaign.figures |= {"jumps": len(serials), "proven absent": missing}
    campaign.check(meters)
