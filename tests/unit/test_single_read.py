"""What `headend read` makes of times and ranges, before a meter is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.single_read import whole_intervals
from headend.times import parse_time
from profiles.errors import SettingsError

INDIA = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 3, 1, 20, 7, 3, 250_000, tzinfo=UTC)
"""2026-03-02 01:37 in India."""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("today", datetime(2026, 3, 1, 18, 30, tzinfo=UTC)),
        ("yesterday", datetime(2026, 2, 28, 18, 30, tzinfo=UTC)),
        ("2026-01-01", datetime(2025, 12, 31, 18, 30, tzinfo=UTC)),
        ("2026-01-01T06:15", datetime(2026, 1, 1, 0, 45, tzinfo=UTC)),
        ("2026-01-01 06:15:30", datetime(2026, 1, 1, 0, 45, 30, tzinfo=UTC)),
        ("2026-01-01T00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00+01:00", datetime(2025, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_a_time_is_the_meters_own_unless_it_names_an_offset(text: str, moment: datetime) -> None:
    found = parse_time(text, INDIA, NOW)
    assert (found, found.utcoffset()) == (moment, timedelta(0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "NOW",
        "2026-13-01",
        "2026-02-30",
        "25:00",
        "1999-12-31",
        "2100-01-01",
        "0001-01-01",
        "9999-12-31",
    ],
)
def test_what_is_no_time_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_time(text, INDIA, NOW)
    assert str(caught.value).startswith(f"{text!r} is not a time")
    assert "write 2026-01-31, 2026-01-31T06:15, now, today or yesterday" in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_time_of_this_century_or_a_settings_error(text: str) -> None:
    try:
        moment = parse_time(text, INDIA, NOW)
    except SettingsError:
        return
    assert 1999 <= moment.year <= 2100


@given(
    st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=40)),
    st.sampled_from([60, 300, 900, 1800, 3600, 86_400]),
    st.sampled_from(["Asia/Kolkata", "Asia/Kathmandu", "UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
)
def test_whole_intervals_are_those_of_the_grid_that_begin_within(
    start: datetime, length: timedelta, period_s: int, zone: str
) -> None:
    end, period, of = start + length, timedelta(seconds=period_s), ZoneInfo(zone)
    midnight = start.astimezone(of).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    try:
        first, until = whole_intervals(start, end, period_s, of)
    except SettingsError:
        steps = (start - midnight) / period
        assert (steps == int(steps) and not length) or midnight + (int(steps) + 1) * period >= end
        return
    assert (first - midnight) % period == (until - midnight) % period == timedelta(0)
    assert start <= first < start + period
    assert end <= until < end + period
    assert first.utcoffset() == until.utcoffset() == timedelta(0)


def test_the_grid_goes_on_through_a_change_of_the_clocks() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start, end = datetime(2026, 3, 29, 0, 50, tzinfo=UTC), datetime(2026, 3, 29, 1, 20, tzinfo=UTC)
    assert whole_intervals(start, end, 1800, berlin) == (
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    )


def test_a_span_in_which_nothing_begins_is_refused() -> None:
    start = datetime(2026, 1, 1, 0, 46, tzinfo=UTC)
    with pytest.raises(SettingsError, match="no interval of 900 s begins between 2026-01-01 06:16 and"):
        whole_intervals(start, start + timedelta(minutes=13), 900, INDIA)
