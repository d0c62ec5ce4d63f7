"""The world: what meters measure, count and notice, through outages and tampers, agrees with itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import pytest

from profiles.events import event
from simulators.load import Integers, kind_number
from simulators.outages import DeclaredOutage, OutageRates
from simulators.spans import Rate, Spans
from simulators.tampers import TAMPERS
from simulators.topology import divisions_of, lay_out
from simulators.world import Registers, Sites, Tariff, World, month_starts, town

NEW_YEAR = int(datetime(2025, 12, 31, 18, 30, tzinfo=UTC).timestamp())
"""2026-01-01 00:00 in India."""
DAY, HOUR, BLOCK = 86_400, 3600, 900
MANY = OutageRates(Rate(200, 2400, 8 * HOUR), Rate(50, 5000, 30 * HOUR), Rate(20, 3600, 24 * HOUR))
METERS = 60
KINDS = ("office", "home", "rooftop_solar", "street_light", "pump", "industry")


def world(
    outages: OutageRates = MANY, tampers: Mapping[str, Rate] | None = None, phases: int = 3, ratio: int = 1
) -> World:
    """60 meters behind two transformers, ten of each kind."""
    kinds = [kind_number(KINDS[meter % len(KINDS)]) for meter in range(METERS)]
    sites = Sites(
        kind=np.array(kinds),
        phases=np.full(METERS, phases),
        current_ratio=np.full(METERS, ratio),
        voltage_ratio=np.ones(METERS, np.int64),
    )
    grid = lay_out(9, divisions_of({"Bhopal city": METERS}), meters_per_transformer=30)
    return World(9, grid, sites, NEW_YEAR, outages, tampers or {})


def blackout(start: int, end: int) -> World:
    return world(OutageRates(declared=(DeclaredOutage("division", "Bhopal city", start, end),)))


def blocks(first: int, last: int, length_s: int = BLOCK) -> Integers:
    return np.arange(first, last, length_s, dtype=np.int64)


def test_blocks_through_outages_add_up_to_the_registers_to_the_wh() -> None:
    here, starts = world(), blocks(NEW_YEAR, NEW_YEAR + 20 * DAY)
    flow = here.load(np.arange(METERS), starts, BLOCK)
    assert 0.01 < (flow.supplied == 0).mean() < 0.3
    assert ((flow.supplied > 0) & (flow.supplied < 1)).any()
    stands = here.registers(np.arange(METERS), np.append(starts, NEW_YEAR + 20 * DAY))
    for name in Registers.__slots__:
        assert np.array_equal(np.diff(getattr(stands, name), axis=1), getattr(flow, name)), name
        assert not getattr(stands, name)[:, 0].any()


def test_a_register_at_any_second_is_the_same_whatever_is_asked_with_it() -> None:
    here = world()
    moments = NEW_YEAR + np.array([30 * DAY, 17, 3 * DAY + 4321, -DAY, 400 * DAY])
    together = here.registers([7, 3, 44], moments)
    for row, meter in enumerate((7, 3, 44)):
        for column, moment in enumerate(moments.tolist()):
            alone = here.registers([meter], [moment])
            assert alone.wh_import.item() == together.wh_import[row, column]
            assert alone.vah_import.item() == together.vah_import[row, column]
    assert not together.wh_import[:, 3].any()


def test_minutes_half_hours_and_days_count_the_same() -> None:
    here, meters = world(), np.arange(METERS)
    day = here.load(meters, [NEW_YEAR + 4 * DAY], DAY)
    for length_s in (60, 300, 1800):
        parts = here.load(meters, blocks(NEW_YEAR + 4 * DAY, NEW_YEAR + 5 * DAY, length_s), length_s)
        assert np.array_equal(parts.wh_import.sum(axis=1), day.wh_import[:, 0])
        assert np.array_equal(parts.vah_import.sum(axis=1), day.vah_import[:, 0])


def test_an_outage_leaves_zeros_and_a_part_of_the_blocks_at_its_ends() -> None:
    start, end = NEW_YEAR + 10 * HOUR + 300, NEW_YEAR + 11 * HOUR + 600
    dark, lit = (
        one.load(np.arange(METERS), blocks(NEW_YEAR + 10 * HOUR, NEW_YEAR + 12 * HOUR), BLOCK)
        for one in (blackout(start, end), world(OutageRates()))
    )
    assert np.allclose(dark.supplied[5], [1 / 3, 0, 0, 0, 1 / 3, 1, 1, 1])
    for name in ("wh_import", "vah_import", "wh_export", "voltage_l2", "current_l3", "power_factor", "frequency"):
        assert not getattr(dark, name)[:, 1:4].any(), name
        assert np.array_equal(getattr(dark, name)[:, 5:], getattr(lit, name)[:, 5:]), name
    assert np.allclose(dark.voltage[:, 0] * 3, lit.voltage[:, 0], rtol=0.05), "averaged over the whole block"
    assert np.allclose(dark.wh_import[:, 0] * 3, lit.wh_import[:, 0], rtol=0.15, atol=4)


def test_registers_stand_still_in_an_outage() -> None:
    start, end = NEW_YEAR + 10 * HOUR + 300, NEW_YEAR + 30 * HOUR
    stands = blackout(start, end).registers(np.arange(METERS), [start, start + 1, start + 5 * HOUR, end, end + HOUR])
    for name in ("wh_import", "vah_import", "varh_q1"):
        register = getattr(stands, name)
        assert (register[:, :4] == register[:, :1]).all()
    assert (stands.wh_import[:, 4] > stands.wh_import[:, 3]).mean() > 0.7


def test_an_open_load_switch_stops_the_energy_and_leaves_the_voltage() -> None:
    here = world(OutageRates())
    starts, switched = blocks(NEW_YEAR, NEW_YEAR + DAY), Spans.of([(1, NEW_YEAR + HOUR, NEW_YEAR + 6 * HOUR)])
    flow, free = here.load([0, 1], starts, BLOCK, switched), here.load([0, 1], starts, BLOCK)
    assert np.array_equal(flow.wh_import[0], free.wh_import[0])
    assert not flow.current[1, 4:24].any()
    assert (flow.voltage[1, 4:24] > 200).all()
    stands = here.registers([0, 1], np.append(starts, NEW_YEAR + DAY), switched)
    assert np.array_equal(np.diff(stands.wh_import, axis=1), flow.wh_import)


def test_demand_is_that_of_the_blocks_in_its_period_and_the_highest_one_is_found() -> None:
    here, until = world(), NEW_YEAR + 31 * DAY
    halves = here.load([5], blocks(NEW_YEAR, until), BLOCK).wh_import.reshape(-1, 2).sum(axis=1)
    highest = here.maximum_demand(5, NEW_YEAR, until, 1800)["wh_import"]
    assert highest.value == halves.max() * 2
    assert highest.at == NEW_YEAR + 1800 * (int(halves.argmax()) + 1)
    assert here.maximum_demand(5, NEW_YEAR, until, 1800)["wh_export"].value == 0


def test_energies_by_rate_add_up_and_each_counts_in_its_hours() -> None:
    here, tariff = world(), Tariff()
    moments = NEW_YEAR + np.array([0, 3 * DAY + 5 * HOUR, 20 * DAY])
    rates, total = here.rate_registers(0, moments, tariff), here.registers([0], moments)
    for name in Registers.__slots__:
        assert np.array_equal(getattr(rates, name).sum(axis=0), getattr(total, name)[0]), name
    starts = blocks(NEW_YEAR, NEW_YEAR + 20 * DAY)
    flow, local_hour = here.load([0], starts, BLOCK).wh_import[0], (starts - NEW_YEAR) % DAY // HOUR
    assert rates.wh_import[2, 2] == flow[(local_hour >= 18) & (local_hour < 22)].sum()
    assert not rates.wh_import[3:].any()


def test_the_highest_demand_of_a_rate_lies_in_its_hours() -> None:
    here, tariff = world(), Tariff()
    evening = here.maximum_demand(1, NEW_YEAR, NEW_YEAR + 31 * DAY, 1800, tariff, rate=3)["wh_import"]
    assert 18 * HOUR < (evening.at - NEW_YEAR) % DAY <= 22 * HOUR
    assert 0 < evening.value <= here.maximum_demand(1, NEW_YEAR, NEW_YEAR + 31 * DAY, 1800)["wh_import"].value


def test_power_off_counts_what_has_begun_and_how_long_it_lasted() -> None:
    start = NEW_YEAR + 10 * HOUR
    number, seconds = blackout(start, start + HOUR).power_off([3, 4], [start, start + 60, start + DAY])
    assert number.tolist() == [[0, 1, 1], [0, 1, 1]]
    assert seconds.tolist() == [[0, 60, 3600], [0, 60, 3600]]


def test_the_load_is_on_the_primary_side_of_current_transformers() -> None:
    starts = blocks(NEW_YEAR + 8 * DAY, NEW_YEAR + 9 * DAY)
    plain, behind = (world(OutageRates(), ratio=ratio).load(np.arange(METERS), starts, BLOCK) for ratio in (1, 20))
    assert behind.wh_import.sum() > 3 * plain.wh_import.sum()
    assert behind.current_l1.max() < 20 * 6
    assert (behind.voltage > 200).all()


def test_low_and_over_voltage_show_in_every_voltage_of_a_transformer() -> None:
    for sort, least, most in (("low_voltage", 140, 185), ("over_voltage", 250, 285)):
        here = world(OutageRates(), {sort: Rate(300, 4 * HOUR, 9 * HOUR)})
        tamper = next(
            one for one in here.tampers_of(0, NEW_YEAR, NEW_YEAR + 30 * DAY) if one.end - one.start > 3 * HOUR
        )
        flow = here.load(np.arange(30), [tamper.start + HOUR], BLOCK)
        assert (flow.voltage > least).all()
        assert (flow.voltage < most).all()
        assert np.array_equal(here.tampers.spans(sort, [0], tamper.start, tamper.end).start, [tamper.start])


def test_a_missing_phase_has_no_voltage_and_the_others_bear_its_load() -> None:
    here = world(OutageRates(), {"phase_missing": Rate(300, 4 * HOUR, 9 * HOUR)})
    tamper = next(one for one in here.tampers_of(0, NEW_YEAR, NEW_YEAR + 30 * DAY) if one.end - one.start > 3 * HOUR)
    flow = here.load([0], [tamper.start + HOUR], BLOCK)
    volts = np.array([flow.voltage_l1, flow.voltage_l2, flow.voltage_l3]).ravel()
    amperes = np.array([flow.current_l1, flow.current_l2, flow.current_l3]).ravel()
    assert np.flatnonzero(volts == 0).tolist() == [tamper.phase]
    assert tamper.code == 1 + 2 * tamper.phase
    assert amperes[tamper.phase] == 0
    assert (volts * amperes).sum() / 4 == pytest.approx(flow.vah_import.item(), abs=2)


@pytest.mark.parametrize("sort", TAMPERS)
def test_every_tamper_is_a_pair_of_known_events_in_order(sort: str) -> None:
    three = 1 not in TAMPERS[sort].phases or sort in ("low_voltage", "magnet")
    here = world(OutageRates(), {sort: Rate(100, HOUR, 5 * HOUR)}, phases=3 if three else 1, ratio=20)
    every = here.tampers_of(4, NEW_YEAR + DAY, NEW_YEAR + 90 * DAY)
    found = [one for one in every if one.end - one.start >= TAMPERS[sort].noticed_after_s]
    assert 10 < len(found) < 50
    events = here.events(4, NEW_YEAR, NEW_YEAR + 100 * DAY)
    noticed = {(known.at, known.code) for known in events}
    assert [one.at for one in events] == sorted(one.at for one in events)
    for one in found:
        assert event(one.code).kind == "occurrence"
        assert one.start <= one.occurred_at < one.restored_at
        assert (one.occurred_at, one.code) in noticed
        if one.restoration is not None:
            assert event(one.restoration).partner == one.code
            assert (one.restored_at, one.restoration) in noticed


def test_tampers_befall_only_meters_that_can_have_them() -> None:
    rates = {sort: Rate(200, HOUR, 5 * HOUR) for sort in TAMPERS}
    single = {one.sort for one in world(OutageRates(), rates, 1).tampers_of(3, NEW_YEAR, NEW_YEAR + 60 * DAY)}
    three = {one.sort for one in world(OutageRates(), rates, 3).tampers_of(3, NEW_YEAR, NEW_YEAR + 60 * DAY)}
    assert single == {sort for sort, what in TAMPERS.items() if 1 in what.phases}
    assert three == {sort for sort, what in TAMPERS.items() if 3 in what.phases and not what.transformers}


def test_a_window_of_events_is_that_part_of_the_whole() -> None:
    here = world(tampers={"magnet": Rate(100, HOUR, 20 * HOUR), "low_voltage": Rate(100, HOUR, 5 * HOUR)})
    whole = here.events(2, NEW_YEAR, NEW_YEAR + 60 * DAY)
    assert {one.code for one in whole} == {9, 10, 101, 102, 201, 202}
    parts = [one for day in range(60) for one in here.events(2, NEW_YEAR + day * DAY, NEW_YEAR + (day + 1) * DAY)]
    assert parts == whole


def test_what_is_over_before_the_meter_is_sure_of_it_is_no_event() -> None:
    here = world(OutageRates(), {"magnet": Rate(300, 40, 120)})
    found = here.tampers_of(2, NEW_YEAR, NEW_YEAR + 90 * DAY)
    short = [one for one in found if one.end - one.start < 60]
    assert short
    assert len(here.events(2, NEW_YEAR, NEW_YEAR + 90 * DAY)) == 2 * (len(found) - len(short))


def test_short_outages_are_not_logged_where_the_meter_waits() -> None:
    here = world()
    every, longer = (here.events(2, NEW_YEAR, NEW_YEAR + 90 * DAY, wait) for wait in (0, 1800))
    assert 0 < len(longer) < len(every)
    assert [one.code for one in longer] == [101, 102] * (len(longer) // 2)


def test_a_meter_without_supply_notices_a_tamper_only_when_it_is_up_again() -> None:
    rates = {"magnet": Rate(300, HOUR, 3 * HOUR), "cover_open": Rate(100, HOUR, 3 * HOUR)}
    here = world(tampers=rates)
    failures = here.power_failures(2, NEW_YEAR, NEW_YEAR + 90 * DAY)
    noticed = [one for one in here.events(2, NEW_YEAR, NEW_YEAR + 89 * DAY) if one.code not in (101, 102)]
    assert len(noticed) > 20
    assert not [one for one in noticed for failure in failures if failure.failed_at <= one.at <= failure.restored_at]


def test_a_town_is_never_without_supply_and_nothing_befalls_it() -> None:
    here = town(9, divisions_of({"Bhopal city": METERS}), NEW_YEAR, phases=3)
    flow = here.load(np.arange(METERS), blocks(NEW_YEAR, NEW_YEAR + 5 * DAY), BLOCK)
    assert (flow.supplied == 1).all()
    assert flow.voltage_l3.min() > 200
    assert not here.events(0, NEW_YEAR, NEW_YEAR + 365 * DAY)


def test_no_intervals_and_no_moments_are_answered_with_none() -> None:
    here = world()
    assert here.load([3, 4], [], BLOCK).voltage_l2.shape == (2, 0)
    assert here.registers([3, 4], []).wh_import.shape == (2, 0)
    assert here.demands([3, 4], [], 1800).wh_import.shape == (2, 0)
    assert here.maximum_demand(3, NEW_YEAR, NEW_YEAR + 60, 1800)["wh_import"].value == 0
    assert here.rate_registers(3, [], Tariff()).wh_import.shape == (8, 0)
    assert here.power_off([3, 4], [])[0].shape == (2, 0)


def test_billing_periods_end_at_local_midnight_of_the_first() -> None:
    found = month_starts(NEW_YEAR, NEW_YEAR + 100 * DAY)
    local = [datetime.fromtimestamp(moment + 19_800, UTC) for moment in found.tolist()]
    assert [(one.month, one.day, one.hour) for one in local] == [(1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 0)]
    assert not len(month_starts(NEW_YEAR + 1, NEW_YEAR + 2))
