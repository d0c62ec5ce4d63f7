"""The record of received invocation counters: every repeat is noticed, memory stays bounded."""

from __future__ import annotations

import random

from simulators.invocations import (
    MAX_EXAMPLES,
    MAX_RANGES,
    MAX_TITLES,
    MAX_TRANSACTIONS,
    InvocationRecord,
    KeyUse,
    TransactionRecord,
)

TITLE = b"HES00001"


def test_rising_counters_are_no_repeats_and_one_that_comes_again_is() -> None:
    record = InvocationRecord()
    for counter in (1, 2, 3, 64, 65, 128):
        record.note(TITLE, counter)
    assert record.repeats == 0
    record.note(TITLE, 65)
    assert (record.repeats, record.examples) == (1, [(TITLE, 65)])


def test_a_lower_counter_that_never_came_is_no_repeat() -> None:
    record = InvocationRecord()
    for counter in (10, 12, 11, 9):
        record.note(TITLE, counter)
    assert record.repeats == 0


def test_the_same_counter_under_two_titles_is_no_repeat() -> None:
    record = InvocationRecord()
    record.note(TITLE, 5)
    record.note(b"HES00002", 5)
    assert record.repeats == 0


def test_any_order_of_arrival_finds_exactly_the_repeats() -> None:
    chance = random.Random(20)
    drawn = [chance.randrange(400) for _ in range(600)]
    record = InvocationRecord()
    for counter in drawn:
        record.note(TITLE, counter)
    assert record.repeats == len(drawn) - len(set(drawn))
    assert len(record.examples) == MAX_EXAMPLES


def test_what_was_forgotten_counts_as_a_repeat_and_what_is_kept_is_still_told_apart() -> None:
    record = InvocationRecord()
    for counter in range(0, 4 * MAX_RANGES, 2):
        record.note(TITLE, counter)
    assert record.repeats == 0
    record.note(TITLE, 0)
    record.note(TITLE, 4 * MAX_RANGES - 2)
    assert record.repeats == 2
    record.note(TITLE, 4 * MAX_RANGES - 3)
    assert record.repeats == 2


def test_a_flood_of_titles_does_not_grow_the_record_without_end() -> None:
    record = InvocationRecord()
    for number in range(10 * MAX_TITLES):
        record.note(b"%08d" % number, 1)
    record.note(b"%08d" % (10 * MAX_TITLES - 1), 1)
    assert record.repeats == 1
    assert len(record._seen) == MAX_TITLES


def test_counters_under_another_key_are_new_and_repeats_are_counted_together() -> None:
    record = InvocationRecord()
    record.note(TITLE, 5)
    other = record.of_another_key()
    other.note(TITLE, 5)
    assert record.repeats == other.repeats == 0
    other.note(TITLE, 5)
    assert record.repeats == other.repeats == 1
    assert record.examples == [(TITLE, 5)]


def test_a_key_remembers_the_highest_counter() -> None:
    use = KeyUse(InvocationRecord(), 0)
    use.took(7)
    use.took(3)
    assert use.last == 7


def test_transactions_are_told_apart_until_they_are_forgotten() -> None:
    record = TransactionRecord()
    assert record.add(b"first")
    assert not record.add(b"first")
    assert all(record.add(bytes([number >> 8, number & 0xFF])) for number in range(MAX_TRANSACTIONS))
    assert record.add(b"first")
