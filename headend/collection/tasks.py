"""What meters are asked for, and when next.

The one rule: a time of day is one of the utility's zone, and one that was missed is made up for, not skipped. Segments
are spread over the time that follows, each at its own place, so that a network is not stormed.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo

from headend.settings import Schedules
from profiles.meter_type import MeterType

Task = Literal["block_load", "daily_load", "billing", "events", "instantaneous", "nameplate", "clock"]
LoadTask = Literal["block_load", "daily_load"]
OWED: Final[frozenset[Task]] = frozenset(get_args(LoadTask))
"""What the ledger knows of by meter."""
TASKS: Final[tuple[Task, ...]] = get_args(Task)

_SPREAD: Final = 1 << 32
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def every(task: Task, schedules: Schedules) -> timedelta | None:
    """From one time to the next; None for what comes at a time of day, or never."""
    seconds = {
        "block_load": schedules.block_load_s,
        "events": schedules.events_s,
        "instantaneous": schedules.instantaneous_s,
        "clock": schedules.clock_s,
        "nameplate": schedules.nameplate_s,
    }.get(task)
    return timedelta(seconds=seconds) if seconds else None


def at(task: Task, schedules: Schedules) -> time | None:
    """The time of day, in the utility's zone; None for what has none."""
    return {"daily_load": schedules.daily_load_at, "billing": schedules.billing_at}.get(task)


def scheduled(schedules: Schedules) -> list[Task]:
    """What meters are asked for by themselves."""
    return [task for task in TASKS if every(task, schedules) is not None or at(task, schedules) is not None]


def next_due(task: Task, segment: str, schedules: Schedules, now: datetime, zone: str) -> datetime:
    """When a segment that is asked for `task` now is due for it again, in UTC."""
    place = zlib.crc32(f"{segment} {task}".encode()) / _SPREAD
    spread = timedelta(seconds=schedules.spread_s)
    period = every(task, schedules)
    if period is not None:
        offset = place * min(period, spread)
        return _EPOCH + offset + ((now - _EPOCH - offset) // period + 1) * period
    of_day = at(task, schedules)
    assert of_day is not None, "what is not scheduled is never due"
    day = (now - place * spread).astimezone(ZoneInfo(zone)).date()
    while True:
        due = datetime.combine(day, of_day, ZoneInfo(zone)).astimezone(UTC) + place * spread
        if due > now and (task != "billing" or day.day == schedules.billing_day):
            return due
        day += timedelta(days=1)


def least_age(meter_type: MeterType, schedules: Schedules) -> timedelta:
    """How long a meter may owe its oldest block before it is asked: one that pushes them is given time to."""
    if "block_load" not in meter_type.pushes:
        return timedelta()
    return timedelta(seconds=max(0.0, schedules.block_load_pushed_s - schedules.block_load_s))


def last_reset(day: int, now: datetime, zone: str) -> datetime:
    """The latest midnight, in this zone, with which a day of this number in its month began."""
    local = now.astimezone(ZoneInfo(zone))
    first = local.replace(day=1) if local.day >= day else local.replace(day=1) - timedelta(days=1)
    return first.replace(day=day, hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
