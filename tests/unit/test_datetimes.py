from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.datetimes import encode_local, instant, instants
from profiles.meter_type import Deviation

INDIA = "Asia/Kolkata"
BERLIN = "Europe/Berlin"


def stamp(text: str, *, second: int = 0, hundredths: int = 0xFF, deviation: int = -0x8000, status: int = 0) -> bytes:
    """The 12 octets of `2026-01-01 00:15`."""
    wall = datetime.strptime(text, "%Y-%m-%d %H:%M")
    return (
        wall.year.to_bytes(2, "big")
        + bytes((wall.month, wall.day, 0xFF, wall.hour, wall.minute, second, hundredths))
        + deviation.to_bytes(2, "big", signed=True)
        + bytes((status,))
    )


def column(*stamps: bytes) -> np.ndarray:
    return np.frombuffer(b"".join(stamps), np.uint8).reshape(-1, 12)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def read(zone: str, *stamps: bytes, deviation: Deviation = "ignore") -> list[str]:
    found = instants(column(*stamps), zone, deviation)
    return np.array(found.utc, "datetime64[us]").astype("datetime64[m]").astype(str).tolist()


def test_indian_wall_time_is_five_and_a_half_hours_ahead() -> None:
    assert instant(stamp("2026-01-01 00:15"), INDIA, "ignore") == utc("2025-12-31 18:45")


def test_a_column_of_a_structured_buffer_is_read_in_place() -> None:
    padded = np.zeros((3, 20), np.uint8)
    padded[:, 5:17] = column(*(stamp(f"2026-03-01 0{hour}:30") for hour in (1, 2, 3)))
    found = instants(padded[:, 5:17], INDIA, "ignore")
    assert found.ok.all()
    assert (np.diff(found.utc) == 3_600_000_000).all()


def test_no_rows_give_no_instants() -> None:
    assert len(instants(np.zeros((0, 12), np.uint8), INDIA, "ignore").utc) == 0


@pytest.mark.parametrize(("second", "hundredths"), [(0, 0), (0xFF, 0xFF), (0, 0xFF), (0xFF, 0)])
def test_an_unspecified_second_or_hundredth_is_zero(second: int, hundredths: int) -> None:
    octets = stamp("2026-01-01 00:15", second=second, hundredths=hundredths)
    assert instant(octets, INDIA, "ignore") == utc("2025-12-31 18:45")


@pytest.mark.parametrize(
    ("octet", "value"),
    [
        *((0, 0xFF), (2, 0xFF), (2, 0), (2, 13), (3, 0xFF), (3, 0), (3, 32)),
        *((5, 24), (5, 0xFF), (6, 60), (6, 0xFF), (7, 60), (7, 0xFE), (8, 100)),
    ],
)
def test_any_other_field_that_is_unspecified_or_impossible_makes_it_no_instant(octet: int, value: int) -> None:
    octets = bytearray(stamp("2026-01-01 00:15"))
    octets[octet] = value
    found = instants(column(bytes(octets), stamp("2026-01-01 00:30")), INDIA, "ignore")
    assert found.ok.tolist() == [False, True]
    assert found.utc[0] == 0
    assert instant(bytes(octets), INDIA, "ignore") is None


@pytest.mark.parametrize("octets", [bytes(12), b"\xff" * 12, b"", bytes(11), bytes(13)])
def test_what_is_no_date_time_is_no_instant(octets: bytes) -> None:
    assert instant(octets, INDIA, "ignore") is None


@pytest.mark.parametrize(("day", "is_one"), [("2024-02-29", True), ("2026-02-28", True), ("2000-02-29", True)])
def test_leap_days_exist_in_leap_years(day: str, is_one: bool) -> None:
    assert (instant(stamp(f"{day} 12:00"), INDIA, "ignore") is not None) == is_one


def test_the_29_february_of_a_common_year_is_no_day() -> None:
    octets = bytearray(stamp("2026-02-28 12:00"))
    octets[3] = 29
    assert instant(bytes(octets), INDIA, "ignore") is None


@pytest.mark.parametrize(
    ("deviation", "minutes", "expected"),
    [
        ("ignore", 330, "2025-12-31T18:45"),
        ("ignore", 0, "2025-12-31T18:45"),
        ("utc-minus-local", -330, "2025-12-31T18:45"),
        ("local-minus-utc", 330, "2025-12-31T18:45"),
        ("utc-minus-local", 0, "2026-01-01T00:15"),
        ("utc-minus-local", -0x8000, "2025-12-31T18:45"),
        ("local-minus-utc", -0x8000, "2025-12-31T18:45"),
    ],
)
def test_the_deviation_means_what_the_type_says(deviation: Deviation, minutes: int, expected: str) -> None:
    assert read(INDIA, stamp("2026-01-01 00:15", deviation=minutes), deviation=deviation) == [expected]


def test_a_deviation_of_more_than_fourteen_hours_makes_it_no_instant() -> None:
    assert instant(stamp("2026-01-01 00:15", deviation=841), INDIA, "local-minus-utc") is None
    assert instant(stamp("2026-01-01 00:15", deviation=840), INDIA, "local-minus-utc") is not None


def test_the_clock_status_marks_what_it_calls_invalid_or_doubtful() -> None:
    statuses = (0x00, 0x01, 0x02, 0x04, 0x80, 0xFF)
    found = instants(column(*(stamp("2026-01-01 00:15", status=status) for status in statuses)), INDIA, "ignore")
    assert found.suspect.tolist() == [False, True, True, False, False, False]


def test_summer_time_moves_the_rows_behind_its_start() -> None:
    rows = ("2026-03-29 00:45", "2026-03-29 01:45", "2026-03-29 03:00", "2026-03-30 00:00")
    assert read(BERLIN, *map(stamp, rows)) == [
        "2026-03-28T23:45",
        "2026-03-29T00:45",
        "2026-03-29T01:00",
        "2026-03-29T22:00",
    ]


def test_a_wall_time_that_never_was_is_suspect() -> None:
    found = instants(column(stamp("2026-03-29 02:30"), stamp("2026-03-29 03:00")), BERLIN, "ignore")
    assert found.suspect.tolist() == [True, False]


TWICE = ("2026-10-25 02:15", "2026-10-25 02:45", "2026-10-25 02:15", "2026-10-25 02:45")
TWICE_UTC = ["2026-10-25T00:15", "2026-10-25T00:45", "2026-10-25T01:15", "2026-10-25T01:45"]


def test_the_hour_that_comes_twice_is_told_apart_by_the_status_bit() -> None:
    stamps = [stamp(text, status=status) for text, status in zip(TWICE, (0x80, 0x80, 0, 0), strict=True)]
    found = instants(column(*reversed(stamps)), BERLIN, "ignore")
    assert np.array(found.utc, "datetime64[us]").astype("datetime64[m]").astype(str).tolist() == TWICE_UTC[::-1]
    assert not found.suspect.any()


def test_without_the_status_bit_it_is_told_apart_by_the_order_of_the_rows() -> None:
    found = instants(column(*map(stamp, TWICE)), BERLIN, "ignore")
    assert np.array(found.utc, "datetime64[us]").astype("datetime64[m]").astype(str).tolist() == TWICE_UTC
    assert not found.suspect.any()


def test_where_neither_tells_it_is_suspect() -> None:
    found = instants(column(*map(stamp, TWICE[:2])), BERLIN, "ignore")
    assert found.suspect.all()


def test_the_deviation_tells_the_hour_that_comes_twice_apart() -> None:
    stamps = [stamp(text, deviation=deviation) for text, deviation in zip(TWICE, (-120, -120, -60, -60), strict=True)]
    assert read(BERLIN, *stamps, deviation="utc-minus-local") == TWICE_UTC


@given(
    when=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),
    zone=st.sampled_from([INDIA, "UTC", "Asia/Kathmandu"]),
    deviation=st.sampled_from(["ignore", "utc-minus-local", "local-minus-utc"]),
)
def test_what_is_encoded_is_read_back(when: datetime, zone: str, deviation: Deviation) -> None:
    whole = when.replace(second=when.second, microsecond=0, tzinfo=UTC)
    assert instant(encode_local(whole, zone, deviation), zone, deviation) == whole


@given(minutes=st.integers(0, 2 * 366 * 24 * 60))
def test_zones_with_summer_time_agree_with_the_time_zone_database(minutes: int) -> None:
    whole = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    wall = whole.astimezone(ZoneInfo(BERLIN))
    # In the hour that comes twice a lone row without the bit set says nothing.
    expected = whole if not wall.fold else whole - timedelta(hours=1)
    assert instant(encode_local(whole, BERLIN, "ignore"), BERLIN, "ignore") == expected
    assert instant(encode_local(whole, BERLIN, "utc-minus-local"), BERLIN, "utc-minus-local") == whole


def test_a_range_is_asked_for_without_a_deviation_where_the_type_ignores_it() -> None:
    assert encode_local(utc("2025-12-31 18:45"), INDIA, "ignore").hex() == "07ea010104000f0000800000"


@given(st.binary(min_size=12, max_size=12 * 40).map(lambda octets: octets[: len(octets) // 12 * 12]))
def test_no_octets_break_it(octets: bytes) -> None:
    found = instants(np.frombuffer(octets, np.uint8).reshape(-1, 12), BERLIN, "utc-minus-local")
    assert (found.utc[~found.ok] == 0).all()
