"""The replay window: every counter is new once, in whatever order and whatever batches it comes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from drivers.push import WIDTH, Freshness, ReplayWindow, accept

NEW, DUPLICATE, TOO_OLD = Freshness.NEW, Freshness.DUPLICATE, Freshness.TOO_OLD
COUNTERS = st.lists(st.integers(0, 200) | st.integers(0, 0xFFFF_FFFF), max_size=60)


def test_counters_that_overtake_each_other_are_new_and_repeated_ones_are_not() -> None:
    window, said = accept(ReplayWindow(), [5, 7, 6, 7, 5, 8])
    assert said == [NEW, NEW, NEW, DUPLICATE, DUPLICATE, NEW]
    assert window == ReplayWindow(8, 0b1111)


def test_the_very_first_counter_may_be_zero_and_comes_once() -> None:
    window, said = accept(ReplayWindow(), [0, 0])
    assert said == [NEW, DUPLICATE]
    assert window == ReplayWindow(0, 1)


def test_what_is_too_far_back_to_remember_is_told_apart_from_a_duplicate() -> None:
    highest = 1000
    window, _ = accept(ReplayWindow(), [highest])
    oldest = highest - WIDTH + 1
    _, said = accept(window, [oldest, oldest - 1, oldest, 0])
    assert said == [NEW, TOO_OLD, DUPLICATE, TOO_OLD]


def test_a_leap_over_the_whole_window_forgets_what_was_before() -> None:
    window, _ = accept(ReplayWindow(), range(10))
    assert accept(window, [9 + WIDTH])[0] == ReplayWindow(9 + WIDTH, 1)
    assert accept(window, [9 + WIDTH - 1])[0] == ReplayWindow(9 + WIDTH - 1, 1 << (WIDTH - 1) | 1)


def test_every_order_of_a_batch_lets_in_each_counter_once() -> None:
    for order in itertools.permutations([3, 4, 5, 6, 7]):
        window, said = accept(ReplayWindow(2, 0b111), order)
        assert said == [NEW] * 5
        assert window == ReplayWindow(7, 0xFF)


@given(COUNTERS, st.integers(0, 60))
def test_batches_decide_as_one_by_one_would(counters: list[int], cut: int) -> None:
    together = accept(ReplayWindow(), counters)
    window, first = accept(ReplayWindow(), counters[:cut])
    window, second = accept(window, counters[cut:])
    assert (window, first + second) == together


@given(COUNTERS)
def test_no_counter_is_new_twice_and_the_bitmap_stays_within_its_octets(counters: list[int]) -> None:
    window, said = accept(ReplayWindow(), counters)
    new = [counter for counter, word in zip(counters, said, strict=True) if word is NEW]
    assert len(set(new)) == len(new)
    assert window.highest == max(counters, default=-1)
    assert 0 <= window.bitmap < 1 << WIDTH
    for counter, word in zip(counters, said, strict=True):
        assert word is not DUPLICATE or counter in new
