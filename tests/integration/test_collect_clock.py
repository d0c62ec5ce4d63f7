"""Clocks that are off: what they stamp is marked, and they are set, over a real socket, where that does no harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from collecting import Town, town

from headend.collection.clock import in_one_interval
from headend.collection.planning import Wanted
from headend.settings import Clock
from profiles.intervals import Quality
from profiles.loader import load_meter_type
from simulators.meter import SimulatedMeter

METER_TYPE = load_meter_type("is15959-1ph")
LIMITS = Clock(set_above_s=10, never_above_s=300)


class Drifting(SimulatedMeter):
    """Its clock goes wrong by a second a minute."""

    since = 0.0

    def now(self) -> float:
        true = self._clock().timestamp()
        self.since = self.since or true
        return super().now() + (true - self.since) / 60

    def set_clock(self, utc: float) -> None:
        self.since = self._clock().timestamp()
        super().set_clock(utc)


async def visited(place: Town, limits: Clock) -> dict[str, Any]:
    """The clock check of a visit for the block load."""
    place.now += timedelta(milliseconds=1)
    async with place.collector() as collector:
        collector.engine.heed(collector.engine.settings.model_copy(update={"clock": limits}))
        (segment,) = await place.ask("SELECT id FROM segment")
        report = await collector.collector.collect(segment["id"], Wanted(frozenset({"block_load", "clock"})))
        assert (report.answered, report.failed) == (1, {}), place.failures()
    return (await place.ask("SELECT drift_ms, set_to, at FROM clock_check ORDER BY at DESC LIMIT 1"))[0]


async def test_a_clock_that_is_off_is_set_by_the_association_that_may_and_drifts_on(dsn: str) -> None:
    async with town(dsn, METER_TYPE, 1, make=Drifting) as place:
        (meter,) = place.meters
        meter.state.clock_offset_s = 40.0
        check = await visited(place, Clock())
        assert (round(check["drift_ms"], -3), check["set_to"]) == (40_000, None), (
            "they are not set unless that is wished"
        )
        check = await visited(place, LIMITS)
        assert round(check["drift_ms"], -3) == 40_000
        assert abs((check["set_to"] - place.now).total_seconds()) <= 0.5
        assert abs(meter.now() - place.now.timestamp()) < 1
        place.now += timedelta(minutes=5)
        check = await visited(place, LIMITS)
        assert (round(check["drift_ms"] / 1000), check["set_to"]) == (5, None), "not worth it yet"


async def test_a_clock_is_not_set_across_an_interval_nor_when_it_is_too_far_off(dsn: str) -> None:
    async with town(dsn, METER_TYPE, 1, make=SimulatedMeter) as place:
        (meter,) = place.meters
        place.now = place.now.replace(minute=44, second=30)
        meter.state.clock_offset_s = 60.0
        check = await visited(place, LIMITS)
        assert (round(check["drift_ms"] / 1000), check["set_to"]) == (60, None), "its next interval has begun already"
        place.now += timedelta(minutes=5)
        check = await visited(place, LIMITS)
        assert check["set_to"] is not None
        meter.state.clock_offset_s = -301.0
        check = await visited(place, LIMITS)
        assert (round(check["drift_ms"] / 1000), check["set_to"]) == (-301, None)


async def test_what_a_meter_stamps_whose_clock_is_too_far_off_is_marked(dsn: str) -> None:
    async with town(dsn, METER_TYPE, 1, make=SimulatedMeter) as place:
        (meter,) = place.meters
        meter.state.clock_offset_s = -float(METER_TYPE.drift_allowed_s + 10)
        await visited(place, Clock())
        asked = "SELECT count(*) AS rows, count(*) FILTER (WHERE quality & %s <> 0) AS marked FROM interval_reading"
        (found,) = await place.ask(asked, int(Quality.CLOCK_SUSPECT))
        assert found["marked"] == found["rows"] > 0
        meter.state.clock_offset_s = 0.0
        place.now += timedelta(minutes=30)
        await visited(place, Clock())
        (later,) = await place.ask(asked, int(Quality.CLOCK_SUSPECT))
        assert later["rows"] > later["marked"] == found["marked"]


@pytest.mark.parametrize(
    ("old", "new", "period_s", "within"),
    [
        ("10:05:00", "10:06:00", 900, True),
        ("10:14:50", "10:14:00", 900, False),
        ("10:00:10", "10:02:00", 900, False),
        ("10:14:30", "10:15:30", 900, False),
        ("10:31:00", "10:29:00", 3600, False),  # hours of the local day begin at half past in UTC
        ("10:01:00", "09:59:00", 3600, True),
    ],
)
def test_old_and_new_time_lie_in_one_interval_of_the_local_day(old: str, new: str, period_s: int, within: bool) -> None:
    before, after = (datetime.fromisoformat(f"2026-01-05T{one}").replace(tzinfo=UTC) for one in (old, new))
    assert in_one_interval(before, after, period_s, "Asia/Kolkata", 15) is within
