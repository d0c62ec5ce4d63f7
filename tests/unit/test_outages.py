"""Outages: drawn, declared, merged, and lived through by meters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.errors import SettingsError
from simulators.outages import DeclaredOutage, OutageRates, Outages
from simulators.spans import Rate, Spans, drawn, joined
from simulators.topology import divisions_of, lay_out

NEW_YEAR = 1_767_205_800
DAY = 86_400
GRID = lay_out(3, divisions_of({"Bhopal city": 700, "Datia": 323}))
RATES = OutageRates(
    feeder=Rate(80, 35 * 60, 8 * 3600), transformer=Rate(40, 70 * 60, 36 * 3600), meter=Rate(20, 3600, 24 * 3600)
)
FEW = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90), st.integers(1, 30)), max_size=12)
"""Row, start, length."""


def outages(*declared: DeclaredOutage, rates: OutageRates = RATES, seed: int = 5) -> Outages:
    return Outages(seed, GRID, OutageRates(rates.feeder, rates.transformer, rates.meter, declared))


def listed(spans: Spans) -> list[tuple[int, int, int]]:
    return sorted(zip(spans.row.tolist(), spans.start.tolist(), spans.end.tolist(), strict=True))


def test_a_window_finds_just_what_the_whole_year_has_in_it() -> None:
    known, meters = outages(), np.arange(0, 1023, 40)
    year = known.spans(meters, NEW_YEAR, NEW_YEAR + 365 * DAY)
    for first in range(NEW_YEAR, NEW_YEAR + 60 * DAY, 11 * 3600 + 900):
        window = (first, first + 5 * 3600)
        assert listed(known.spans(meters, *window)) == listed(year.within(*window))


def test_another_seed_has_other_outages() -> None:
    here, there = (listed(outages(seed=seed).spans([0], NEW_YEAR, NEW_YEAR + 90 * DAY)) for seed in (5, 6))
    assert here
    assert here != there


def test_outages_come_as_often_as_declared_and_last_as_long() -> None:
    spans = drawn(5, "test", np.arange(500), Rate(60, 1800, 8 * 3600), NEW_YEAR, NEW_YEAR + 365 * DAY)
    assert 57 < len(spans) / 500 < 63
    assert 0.48 < (spans.end - spans.start <= 1800).mean() < 0.52
    assert (spans.end - spans.start).max() == 8 * 3600


def test_what_never_happens_is_never_drawn() -> None:
    assert not len(outages(rates=OutageRates()).spans(np.arange(1023), NEW_YEAR, NEW_YEAR + 365 * DAY))


def test_meters_of_a_feeder_go_out_together_and_those_of_another_do_not() -> None:
    known = outages(rates=OutageRates(feeder=RATES.feeder))
    feeder = GRID.feeder
    out = known.spans(np.arange(len(GRID)), NEW_YEAR, NEW_YEAR + 30 * DAY)
    of_meter: dict[int, list[tuple[int, int]]] = {meter: [] for meter in range(len(GRID))}
    for row, start, end in listed(out):
        of_meter[row].append((start, end))
    of_feeder = {int(feeder[meter]): spans for meter, spans in of_meter.items()}
    assert all(spans == of_feeder[int(feeder[meter])] for meter, spans in of_meter.items())
    assert len({str(spans) for spans in of_feeder.values()}) == len(GRID.feeders)


@pytest.mark.parametrize(
    ("level", "name", "meters"),
    [("division", "Datia", 323), ("transformer", "Bhopal city F01 T003", 39), ("meter", "1022", 1)],
)
def test_a_declared_outage_befalls_whom_it_names(level: str, name: str, meters: int) -> None:
    declared = DeclaredOutage(level, name, NEW_YEAR, NEW_YEAR + 3600)  # type: ignore[arg-type]
    known = outages(declared, rates=OutageRates())
    found = known.spans(np.arange(len(GRID)), NEW_YEAR - DAY, NEW_YEAR + DAY)
    assert len(found) == pytest.approx(meters, abs=1)
    assert set(zip(found.start.tolist(), found.end.tolist(), strict=True)) == {(NEW_YEAR, NEW_YEAR + 3600)}


@pytest.mark.parametrize(("level", "name"), [("feeder", "Nowhere"), ("meter", "1023"), ("meter", "-1")])
def test_a_declared_outage_of_nothing_is_refused(level: str, name: str) -> None:
    with pytest.raises(SettingsError, match=r"Nowhere|1023|-1"):
        outages(DeclaredOutage(level, name, NEW_YEAR, NEW_YEAR + 1))  # type: ignore[arg-type]


def test_a_meter_gasps_after_its_supply_is_gone_and_breathes_once_it_is_back_for_good() -> None:
    failures = [one for meter in range(0, 1023, 20) for one in outages().of_meter(meter, NEW_YEAR, NEW_YEAR + 60 * DAY)]
    assert len(failures) > 500
    for one in failures:
        assert one.start < one.failed_at <= one.last_gasp_at <= one.start + 5
        assert one.end < one.restored_at <= one.end + 7
        assert one.first_breath_at is None or one.restored_at + 20 <= one.first_breath_at < one.end + 190
    assert len({(one.last_gasp_at - one.start, one.restored_at - one.end) for one in failures}) > 8


def test_a_meter_never_notices_an_outage_before_the_last_one_is_over() -> None:
    for meter in range(0, 1023, 100):
        for one, next_ in pairwise(outages().of_meter(meter, NEW_YEAR, NEW_YEAR + 365 * DAY)):
            assert one.restored_at < next_.start
            assert one.first_breath_at is None or one.first_breath_at < next_.start


def test_supply_too_short_to_start_a_meter_makes_no_two_outages_of_one() -> None:
    declared = (
        DeclaredOutage("meter", "0", NEW_YEAR, NEW_YEAR + 600),
        DeclaredOutage("meter", "0", NEW_YEAR + 620, NEW_YEAR + 900),
        DeclaredOutage("meter", "0", NEW_YEAR + 1000, NEW_YEAR + 1300),
    )
    found = outages(*declared, rates=OutageRates()).of_meter(0, NEW_YEAR, NEW_YEAR + 3600)
    assert [(one.start - NEW_YEAR, one.end - NEW_YEAR) for one in found] == [(0, 900), (1000, 1300)]
    assert found[1].first_breath_at is not None
    assert outages(*declared, rates=OutageRates()).of_meter(0, NEW_YEAR + 700, NEW_YEAR + 701) == found[:1]


@given(FEW)
@settings(max_examples=200, deadline=None)
def test_merged_spans_cover_the_same_seconds_once(few: list[tuple[int, int, int]]) -> None:
    merged = Spans.of((row, start, start + length) for row, start, length in few).merged()
    covered = [(row, second) for row, start, end in listed(merged) for second in range(start, end)]
    assert sorted(covered) == sorted({(row, start + nth) for row, start, length in few for nth in range(length)})
    assert listed(merged) == list(zip(merged.row.tolist(), merged.start.tolist(), merged.end.tolist(), strict=True))


@given(FEW, st.lists(st.integers(0, 12), max_size=6), st.integers(1, 25))
@settings(max_examples=200, deadline=None)
def test_overlaps_are_the_seconds_that_each_interval_loses(
    few: list[tuple[int, int, int]], slots: list[int], length_s: int
) -> None:
    merged = Spans.of((row, start, start + length) for row, start, length in few).merged()
    starts = np.array(slots, np.int64) * 10
    lost = merged.overlaps(starts, length_s).seconds((4, len(starts)))
    gone = {(row, second) for row, start, end in listed(merged) for second in range(start, end)}
    for row in range(4):
        for column, start in enumerate(starts.tolist()):
            assert lost[row, column] == sum((row, start + nth) in gone for nth in range(length_s))


def test_spans_of_several_causes_keep_their_meters_apart() -> None:
    one, other = Spans.of([(0, 10, 20), (1, 0, 5)]), Spans.of([(0, 15, 30), (2, 20, 21)])
    assert listed(joined(one, other, Spans.none()).merged()) == [(0, 10, 30), (1, 0, 5), (2, 20, 21)]
