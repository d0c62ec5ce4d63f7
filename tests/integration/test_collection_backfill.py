"""What is owed for weeks comes home in parts that a session bears, the newest day beside the oldest; what a meter never
recorded is proven absent, and asked for no more."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from collecting import Town, WatchedMeter, town
from types_place import COMMISSIONED, NOW

from profiles.loader import load_meter_type
from profiles.meter_type import Profile
from simulators import buffers

DAY = timedelta(days=1)
QUARTER = timedelta(minutes=15)
ONE = load_meter_type("is15959-1ph")


class Ranges(WatchedMeter):
    """Notes for which stamps its blocks were asked; never recorded the first that it was asked for by each request of
    the first session, which is where a long read is cut. Takes its time, if it is to."""

    recorded_all = True
    takes_s = 0.0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.requests: list[tuple[datetime, datetime]] = []
        self.missing: set[int] = set()

    def rows_of(self, profile: Profile, bounds: tuple[int, int] | None) -> list[bytes]:
        if profile.kind != "block_load" or bounds is None:
            return super().rows_of(profile, bounds)
        time.sleep(self.takes_s)
        first, last = (datetime.fromtimestamp(bound, UTC) for bound in bounds)
        self.requests.append((first, last))
        found = buffers.captured(self, profile).within(bounds)
        if not self.recorded_all and found.at[0] > self.commissioned_at + 900:
            self.missing.add(int(found.at[0]))
        return buffers.encoded(self, profile, buffers.Captured(found.at[~np.isin(found.at, sorted(self.missing))]))


class Forgetful(Ranges):
    recorded_all = False


class Slow(Ranges):
    takes_s = 0.15


async def starts(place: Town) -> list[datetime]:
    return [row["ts"] for row in await place.ask("SELECT ts FROM interval_reading ORDER BY ts")]


async def test_slots_never_recorded_are_proven_absent_by_two_visits_and_asked_for_no_more(dsn: str) -> None:
    async with town(dsn, ONE, 1, make=Forgetful) as place:
        (meter,) = place.meters
        assert isinstance(meter, Forgetful)
        await place.visit({"block_load"})
        meter.recorded_all = True
        missing = [datetime.fromtimestamp(end, UTC) - QUARTER for end in sorted(meter.missing)]
        assert len(missing) >= 2, "the read was cut into parts"
        absent = "SELECT starts AS at, proven_at IS NOT NULL AS proven FROM absence ORDER BY starts"
        assert [(row["at"], row["proven"]) for row in await place.ask(absent)] == [(at, False) for at in missing]

        place.now += timedelta(minutes=20)
        await place.visit({"block_load"})
        assert not any(row["proven"] for row in await place.ask(absent)), "one occasion"
        place.now += timedelta(minutes=20)
        await place.visit({"block_load"})
        assert [(row["at"], row["proven"]) for row in await place.ask(absent)] == [(at, True) for at in missing]

        meter.requests.clear()
        place.now += QUARTER
        await place.visit({"block_load"})
        assert len(meter.requests) == 1
        assert meter.requests[0][0] > place.now - 2 * QUARTER
        due = (await starts(place))[-1] + QUARTER - COMMISSIONED
        assert len(await starts(place)) == due / QUARTER - len(missing)
        (days,) = await place.ask("SELECT sum(absent) AS absent FROM meter_day WHERE profile = 'block_load'")
        assert days["absent"] == len(missing)


async def test_weeks_that_are_owed_come_in_parts_the_oldest_first_beside_the_newest_day(dsn: str) -> None:
    commissioned = NOW - 30 * DAY - timedelta(seconds=NOW.timestamp() % 900)
    async with town(dsn, ONE, 1, make=Slow, commissioned_at=commissioned) as place:
        (meter,) = place.meters
        assert isinstance(meter, Slow)
        await place.connection.execute("INSERT INTO schedule SELECT id, 'block_load', 'infinity' FROM segment")
        report = await place.visit({"block_load", "daily_load"}, session_timeout_s=1.2, retry_after_s=300)
        assert (report.answered, report.failed, report.again) == (1, {}, 1), "it is not done, and has not failed"
        assert await place.ask("SELECT FROM profile_reading WHERE profile = 'daily_load'"), "blocks are not all"
        stored = await starts(place)
        border = (place.now - DAY).replace(minute=0, second=0, microsecond=0)
        newest, older = [at for at in stored if at >= border], [at for at in stored if at < border]
        assert (newest[0], newest[-1]) == (border, commissioned + 30 * DAY - QUARTER)
        assert older[0] == commissioned
        assert older[-1] - older[0] == (len(older) - 1) * QUARTER
        assert meter.requests[0][0] > meter.requests[1][1]
        (due,) = await place.ask("SELECT due_at FROM schedule WHERE task = 'block_load'")
        assert due["due_at"] == place.now + timedelta(seconds=300)

        report = await place.visit({"block_load"}, session_timeout_s=1.2)
        assert meter.requests[-1][0] > older[-1]
        while report.again:
            report = await place.visit({"block_load"}, session_timeout_s=1.2)
        assert [int(at.timestamp()) for at in await starts(place)] == (place.said(0, "block_load").at - 900).tolist()
