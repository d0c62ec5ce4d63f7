"""When segments are due: times of day of the utility's zone, spread, and overrides."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from headend.collection.tasks import Task, last_reset, least_age, next_due, scheduled
from headend.settings import Override, Schedules
from profiles.loader import load_meter_type

NOW = datetime(2026, 3, 28, 17, 50, tzinfo=UTC)
SEGMENTS = [f"bucket {number}" for number in range(200)]


def due(task: Task, schedules: Schedules, now: datetime, zone: str = "Asia/Kolkata") -> list[datetime]:
    return [next_due(task, segment, schedules, now, zone) for segment in SEGMENTS]


def test_segments_are_due_once_a_period_each_at_its_own_moment() -> None:
    schedules = Schedules(block_load_s=3600, spread_s=1800)
    first = due("block_load", schedules, NOW)
    assert all(NOW < moment <= NOW + timedelta(hours=1) for moment in first)
    assert len(set(first)) == len(SEGMENTS)
    minutes = {(moment.minute * 60 + moment.second) // 300 for moment in first}
    assert minutes == set(range(6)), "spread over the first half hour, and no further"
    for segment, moment in zip(SEGMENTS, first, strict=True):
        assert next_due("block_load", segment, schedules, moment, "Asia/Kolkata") == moment + timedelta(hours=1)


def test_the_daily_load_is_due_after_midnight_of_the_utility_however_long_its_day() -> None:
    schedules = Schedules(daily_load_at=time(0, 30), spread_s=600)
    for moment in due("daily_load", schedules, NOW):
        assert datetime(2026, 3, 28, 19, 0, tzinfo=UTC) <= moment < datetime(2026, 3, 28, 19, 10, tzinfo=UTC)
    # Berlin's 29 March 2026 has 23 hours: from 00:30 to 00:30 it is an hour less.
    first = next_due("daily_load", "a", schedules, NOW, "Europe/Berlin")
    second = next_due("daily_load", "a", schedules, first, "Europe/Berlin")
    assert second - first == timedelta(hours=23)
    third = next_due("daily_load", "a", schedules, first + timedelta(hours=30), "Europe/Berlin")
    assert third - first == timedelta(hours=47)


def test_bills_are_due_on_their_day_of_the_month() -> None:
    schedules = Schedules(billing_at=time(1, 0), billing_day=1, spread_s=0)
    moment = next_due("billing", "a", schedules, NOW, "Asia/Kolkata")
    assert moment == datetime(2026, 3, 31, 19, 30, tzinfo=UTC)
    assert next_due("billing", "a", schedules, moment, "Asia/Kolkata") == datetime(2026, 4, 30, 19, 30, tzinfo=UTC)


def test_what_has_no_period_is_not_scheduled() -> None:
    assert "instantaneous" not in scheduled(Schedules())
    assert "instantaneous" in scheduled(Schedules(instantaneous_s=900))


@pytest.mark.parametrize(
    ("segment", "types", "period"),
    [
        ("gateway a", ["is15959-htct"], 900),
        ("gateway a", ["is15959-1ph"], 3600),
        ("street 1", ["is15959-1ph"], 1800),
        ("street 1", ["is15959-1ph", "is15959-htct"], 900),
    ],
)
def test_the_first_override_that_fits_wins(segment: str, types: list[str], period: float) -> None:
    schedules = Schedules(
        override=(
            Override(types=("*-htct",), block_load_s=900),
            Override(segments=("street *",), block_load_s=1800, events_s=600),
        )
    )
    assert schedules.of(segment, types).block_load_s == period
    assert schedules.of("street 9", ["is15959-htct"]).events_s == 600


def test_meters_that_push_their_blocks_are_given_time_to() -> None:
    schedules = Schedules(block_load_s=3600, block_load_pushed_s=14400)
    assert least_age(load_meter_type("is15959-1ph"), schedules) == timedelta(hours=3)
    assert least_age(load_meter_type("generic-dlms"), schedules) == timedelta()


@pytest.mark.parametrize(
    ("day", "now", "reset"),
    [
        (1, "2026-03-28T17:50+00:00", "2026-02-28T18:30+00:00"),
        (1, "2026-02-28T18:30+00:00", "2026-02-28T18:30+00:00"),
        (1, "2026-02-28T18:29+00:00", "2026-01-31T18:30+00:00"),
        (28, "2026-03-27T18:29+00:00", "2026-02-27T18:30+00:00"),
        (5, "2026-01-02T00:00+00:00", "2025-12-04T18:30+00:00"),
    ],
)
def test_the_last_reset_is_the_midnight_of_that_day_of_the_month(day: int, now: str, reset: str) -> None:
    assert last_reset(day, datetime.fromisoformat(now), "Asia/Kolkata") == datetime.fromisoformat(reset)
