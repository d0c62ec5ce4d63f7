"""What `headend read` makes of times, and how many rows it asks for at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.reading.pace import FIRST_ROWS, Pace
from headend.reading.span import Span
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


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [
        (Span("yesterday", "now"), datetime(2026, 2, 28, 18, 30, tzinfo=UTC), NOW),
        (Span(), datetime(2026, 2, 27, 18, 30, tzinfo=UTC), NOW),
        (Span(last="7d"), NOW - timedelta(days=7), NOW),
        (Span(last="90m"), NOW - timedelta(minutes=90), NOW),
        (Span(end="2026-01-03"), datetime(2025, 12, 31, 18, 30, tzinfo=UTC), datetime(2026, 1, 2, 18, 30, tzinfo=UTC)),
        (Span("2026-01-01T06:15", "2026-01-01T07:15Z"), datetime(2026, 1, 1, 0, 45, tzinfo=UTC), None),
    ],
)
def test_a_span_is_of_the_meters_days_and_has_a_usual_beginning(
    span: Span, first: datetime, last: datetime | None
) -> None:
    assert span.moments(INDIA, NOW, 2) == (first, last or datetime(2026, 1, 1, 7, 15, tzinfo=UTC))


def test_the_usual_beginning_is_a_midnight_through_a_change_of_the_clocks() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start, _ = Span(end="2026-03-30T12:00").moments(berlin, NOW, 2)
    assert start == datetime(2026, 3, 27, 23, tzinfo=UTC)


def test_what_is_no_span_is_refused_before_any_meter_is_asked() -> None:
    for span, words in (
        (Span("last tuesday"), "is not a time"),
        (Span(last="a week"), "is not a length of time"),
        (Span("today", last="7d"), "take it, or --from and --to"),
    ):
        with pytest.raises(SettingsError, match=words):
            span.check(NOW)
    with pytest.raises(SettingsError, match="--from now is not before --to yesterday"):
        Span("now", "yesterday").moments(INDIA, NOW, 1)


def test_few_rows_are_asked_for_first_and_as_many_as_come_in_seconds_then() -> None:
    pace = Pace()
    asked = [pace.rows]
    for _ in range(6):
        pace.took(pace.rows, pace.rows / 30)
        asked.append(pace.rows)
    assert asked[:3] == [FIRST_ROWS, 96, 240]
    assert set(asked[3:]) <= {239, 240}, "thirty rows a second, for eight seconds"


def test_what_broke_the_link_is_halved_and_tried_again_only_after_parts_came_through_ever_more_of_them() -> None:
    pace = Pace()
    pace.took(24, 0.01)
    tried = []
    for _ in range(3):
        pace.broke()
        tried.append(0)
        while pace.rows < 96:
            assert pace.rows == 48
            pace.took(48, 0.01)
            tried[-1] += 1
    assert tried == [2, 4, 8]
    for _ in range(20):
        pace.broke()
    assert pace.rows == 1
