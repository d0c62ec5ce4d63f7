"""The clock that simulated meters share with whoever asks them."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from profiles.errors import SettingsError
from simulators.virtual_clock import VirtualClock

AT = datetime(2026, 1, 31, 18, 30, tzinfo=UTC)
MONTH_A_MINUTE = 30 * 1440.0


def test_it_begins_where_it_was_set_and_goes_as_fast_as_it_was_told() -> None:
    clock = VirtualClock.start(AT, MONTH_A_MINUTE)
    time.sleep(0.05)
    passed, real = clock() - AT, time.monotonic() - clock.since
    assert timedelta(seconds=0.05 * MONTH_A_MINUTE) < passed <= timedelta(seconds=real * MONTH_A_MINUTE)


def test_it_shows_the_present_where_nothing_else_is_said() -> None:
    assert abs(VirtualClock.start()() - datetime.now(UTC)) < timedelta(seconds=5)


def test_it_shows_utc_wherever_it_was_set() -> None:
    clock = VirtualClock.start(datetime.fromisoformat("2026-02-01T00:00:00+05:30"))
    assert clock.at == AT
    assert clock().utcoffset() == timedelta()


async def test_sleeping_until_a_moment_takes_as_much_less_time() -> None:
    clock, begun = VirtualClock.start(AT, 3600.0), time.monotonic()
    await clock.sleep_until(AT.timestamp() + 360)
    assert clock() >= AT + timedelta(seconds=360)
    assert 0.09 < time.monotonic() - begun < 5
    assert clock.wait_s(AT.timestamp()) == 0.0
    await clock.sleep_until(AT.timestamp())


def test_another_process_that_is_given_its_text_has_the_same_clock() -> None:
    clock = VirtualClock.start(AT, 60.0)
    program = (
        "import sys, time; from simulators.virtual_clock import VirtualClock;"
        "before = time.monotonic(); print(before, VirtualClock.parse(sys.argv[1])().timestamp(), time.monotonic())"
    )
    told = subprocess.run([sys.executable, "-c", program, str(clock)], capture_output=True, check=True).stdout.split()
    before, shown, after = map(float, told)
    low, high = (AT.timestamp() + (moment - clock.since) * 60.0 for moment in (before, after))
    assert low - 0.01 <= shown <= high + 0.01


@pytest.mark.parametrize("speed", [0.0, -1.0, 1e7, float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(SettingsError, match="times as fast as time"):
        VirtualClock.start(AT, speed)


@pytest.mark.parametrize("text", ["", "now", "2026-01-01T00:00:00 x1.0 at 1.0", "x x1.0 at 1.0"])
def test_a_text_that_is_no_clock_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is no clock of a simulator"):
        VirtualClock.parse(text)
