from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.scaling import exact, scale

MOST = 2**63 - 1


def whole(mask: np.ndarray | None, rows: int) -> list[bool]:
    return [False] * rows if mask is None else mask.tolist()


def test_integers_are_multiplied_exactly() -> None:
    assert scale(np.array([0, 1, 65535], ">u2"), None, 4).values.tolist() == [0, 10_000, 655_350_000]


def test_what_does_not_fit_is_null_and_marked() -> None:
    scaled = scale(np.array([MOST // 1000, MOST // 1000 + 1, -(MOST // 1000), -(2**63)], ">i8"), None, 3)
    assert scaled.values.tolist() == [MOST // 1000 * 1000, 0, -(MOST // 1000) * 1000, 0]
    assert whole(scaled.overflow, 4) == whole(scaled.null, 4) == [False, True, False, True]
    scaled = scale(np.array([2**64 - 1, 5], ">u8"), None, 0)
    assert (scaled.values.tolist(), whole(scaled.overflow, 2)) == ([0, 5], [True, False])


def test_no_power_is_too_large_or_too_small() -> None:
    for values in (np.array([0, 3], ">i4"), np.array([0, 3], ">f4")):
        large, small = scale(values, None, 130), scale(values, None, -130)
        assert (large.values.tolist(), whole(large.overflow, 2)) == ([0, 0], [False, True])
        assert (small.values.tolist(), whole(small.rounded, 2)) == ([0, 0], [False, True])


def test_what_is_finer_is_rounded_half_to_even_and_marked() -> None:
    scaled = scale(np.array([5, 15, 25, 26, -5, -15, -16, 20], ">i2"), None, -1)
    assert scaled.values.tolist() == [0, 2, 2, 3, 0, -2, -2, 2]
    assert whole(scaled.rounded, 8) == [True] * 7 + [False]


def test_a_float_counts_as_the_decimal_that_it_shows() -> None:
    scaled = scale(np.array([230.1, 0.0, -1.5, 0.123456], ">f4"), None, 3)
    assert scaled.values.tolist() == [230_100, 0, -1_500, 123]
    assert whole(scaled.rounded, 4) == [False, False, False, True]


def test_a_float_that_is_no_number_or_too_large_is_null_and_marked() -> None:
    scaled = scale(np.array([np.nan, np.inf, -np.inf, 1e30, 1.0]), None, 3)
    assert scaled.values.tolist() == [0, 0, 0, 0, 1_000]
    assert whole(scaled.overflow, 5) == whole(scaled.null, 5) == [True] * 4 + [False]
    assert scaled.rounded is None


def test_mixed_values_are_scaled_one_by_one() -> None:
    values = np.empty(7, object)
    values[:] = [1, 0.5, None, "text", 2**64 - 1, float("nan"), 0.0001]
    scaled = scale(values, np.array([False, False, True, False, False, False, False]), 3)
    assert scaled.values.tolist() == [1_000, 500, 0, 0, 0, 0, 0]
    assert whole(scaled.null, 7) == [False, False, True, True, True, True, False]
    assert whole(scaled.overflow, 7) == [False, False, False, False, True, True, False]
    assert whole(scaled.foreign, 7) == [False, False, False, True, False, False, False]
    assert whole(scaled.rounded, 7) == [False] * 6 + [True]


def test_octet_strings_are_no_numbers() -> None:
    scaled = scale(np.zeros((2, 4), np.uint8), None, 3)
    assert whole(scaled.foreign, 2) == whole(scaled.null, 2) == [True, True]


def test_a_null_is_neither_rounded_nor_too_large() -> None:
    scaled = scale(np.array([0, 7], ">u2"), np.array([True, False]), -1)
    assert (whole(scaled.null, 2), whole(scaled.rounded, 2)) == ([True, False], [False, True])


@pytest.mark.parametrize(("raw", "nearest"), [(5 * 10**18, 0), (5 * 10**18 + 1, 1), (-5 * 10**18 - 1, -1)])
def test_the_largest_numbers_round_at_the_smallest_scale(raw: int, nearest: int) -> None:
    assert scale(np.array([raw]), None, -19).values.tolist() == [nearest]
    assert scale(np.array([raw, -(2**63)]), None, -20).values.tolist() == [0, 0]


@given(st.lists(st.integers(-(2**63), MOST), min_size=1, max_size=20), st.integers(-25, 25))
def test_integers_agree_with_decimal_arithmetic(numbers: list[int], power: int) -> None:
    scaled = scale(np.array(numbers, ">i8"), None, power)
    for row, number in enumerate(numbers):
        wanted = Decimal(number).scaleb(power)
        nearest = int(wanted.to_integral_value(ROUND_HALF_EVEN))
        if -MOST <= nearest <= MOST:
            assert scaled.values[row] == nearest
            assert whole(scaled.rounded, len(numbers))[row] == (wanted != nearest)
        else:
            assert whole(scaled.overflow, len(numbers))[row]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.uint32(12), "0.12"),
        (7, "0.07"),
        (np.float32(230.1), "2.301"),
        (2**64 - 1, "184467440737095516.15"),
        (float("nan"), None),
        ("text", None),
        (b"12", None),
        (None, None),
    ],
)
def test_an_exact_number_is_kept_as_a_decimal(value: object, expected: str | None) -> None:
    assert exact(value, -2) == (None if expected is None else Decimal(expected))
