"""The physical load: pure, believable, adding up, fast."""

from __future__ import annotations

import time
from dataclasses import fields
from datetime import UTC, datetime

import numpy as np
import pytest

from simulators.load import (
    ARCHETYPES,
    Disturbance,
    Floats,
    Integers,
    Load,
    Service,
    archetypes_of,
    consumers,
    kind_number,
    load,
    measured,
)

MIDNIGHT_IST = int(datetime(2026, 1, 7, 18, 30, tzinfo=UTC).timestamp())
"""Thursday 2026-01-08 00:00 in India."""
DAY = np.arange(MIDNIGHT_IST, MIDNIGHT_IST + 86_400, 900)
METERS = np.arange(400)

FROZEN = [228.83758745784345, 0.14967385222467786, 9.0, -57.0]
"""Volt, ampere, Wh and dBm of meter 0 under seed 1 in the first quarter of 2026 in India."""


def of_kind(name: str, starts: Integers = DAY, phases: int = 1, seed: int = 7, period_s: int = 900) -> Load:
    """The load of 100 meters of one archetype."""
    meters = np.arange(100)
    who = consumers(seed, meters, np.full(100, kind_number(name)), float(phases))
    service = Service(np.full(100, phases), np.full(100, 230.0), meters // 40, np.full(100, 30.0))
    return measured(who, service, starts, period_s, Disturbance.none())


def channels(flow: Load) -> dict[str, Floats]:
    return {field.name: getattr(flow, field.name) for field in fields(flow)}


def hours(flow: Floats, first: int, last: int) -> Floats:
    """Mean over the local hours [first, last) of one day, for each meter."""
    means: Floats = flow[:, first * 4 : last * 4].mean(axis=1)
    return means


def month(number: int) -> Integers:
    """Midnights of the days of a month of 2026."""
    first = int(datetime(2026, number, 1, tzinfo=UTC).timestamp()) - 19_800
    return first + 86_400 * np.arange(28)


def test_a_slice_of_meters_and_slots_in_any_order_has_the_values_of_the_whole() -> None:
    whole = channels(load(7, METERS, DAY, 900))
    some_meters, some_slots = np.array([311, 4, 90]), np.array([95, 0, 40])
    part = channels(load(7, some_meters, DAY[some_slots], 900))
    for name, values in part.items():
        assert np.array_equal(values, whole[name][np.ix_(some_meters, some_slots)]), name


def test_seed_meter_and_time_each_make_a_difference() -> None:
    here = load(7, [3], DAY, 900)
    assert not np.array_equal(here.wh_import, load(8, [3], DAY, 900).wh_import)
    assert not np.array_equal(here.wh_import, load(7, [4], DAY, 900).wh_import)
    assert not np.array_equal(here.wh_import, load(7, [3], DAY + 86_400, 900).wh_import)


def test_the_load_of_a_meter_is_the_same_today_and_in_years_to_come() -> None:
    flow = load(1, [0], [1_767_205_800], 900)
    assert np.allclose(
        [flow.voltage.item(), flow.current.item(), flow.wh_import.item(), flow.signal_strength.item()],
        FROZEN,
        rtol=1e-9,
    )


@pytest.mark.parametrize("kind", ARCHETYPES)
@pytest.mark.parametrize("phases", [1, 3])
def test_physics_holds_in_every_interval(kind: str, phases: int) -> None:
    flow = of_kind(kind, np.arange(MIDNIGHT_IST, MIDNIGHT_IST + 9 * 86_400, 900), phases)
    volts = np.stack([flow.voltage_l1, flow.voltage_l2, flow.voltage_l3])[:phases]
    amperes = np.stack([flow.current_l1, flow.current_l2, flow.current_l3])[:phases]
    assert volts.min() > 195
    assert volts.max() < 260
    assert amperes.min() >= 0
    assert amperes.max() < 80
    for name in ("wh_import", "wh_export", "varh_q1", "varh_q2", "varh_q3", "varh_q4"):
        assert (getattr(flow, name) >= 0).all(), name
    assert (flow.vah_import >= flow.wh_import).all()
    assert (flow.vah_export >= flow.wh_export).all()
    assert np.abs((volts * amperes).sum(axis=0) / 4 - flow.vah_import - flow.vah_export).max() <= 4
    assert flow.power_factor.min() > 0.5
    assert flow.power_factor.max() < 1.0
    assert (flow.supplied == 1).all()
    assert (np.abs(flow.frequency - 50) <= 0.1).all()
    assert ((flow.signal_strength >= -128) & (flow.signal_strength < 0)).all()
    assert set(np.unique(flow.meter_health)) <= {0.0, 1.0}


@pytest.mark.parametrize("kind", ARCHETYPES)
def test_apparent_energy_is_what_active_and_reactive_energy_make_of_it(kind: str) -> None:
    flow = of_kind(kind, MIDNIGHT_IST + 86_400 * np.arange(30), 3, period_s=86_400)
    made = np.hypot(flow.wh_import, flow.varh_q1 + flow.varh_q4)
    assert (np.abs(flow.vah_import / made - 1.015) < 0.04).all()


def test_phases_share_the_load_unequally_and_leave_some_for_the_neutral() -> None:
    flow = of_kind("office", phases=3)
    mean = (flow.current_l1 + flow.current_l2 + flow.current_l3) / 3
    assert np.allclose(flow.current, mean)
    assert 0.1 < np.abs(flow.current_l1 / mean - 1).mean() < 0.4
    assert 0.05 < (flow.neutral_current / mean).mean() < 0.8
    assert np.allclose(flow.voltage, (flow.voltage_l1 + flow.voltage_l2 + flow.voltage_l3) / 3)


def test_a_single_phase_meter_has_one_phase_and_no_reactive_registers() -> None:
    flow = of_kind("home")
    assert np.array_equal(flow.voltage, flow.voltage_l1)
    assert np.array_equal(flow.current, flow.neutral_current)
    for name in ("voltage_l2", "current_l3", "power_factor_l2", "varh_q1", "varh_q4"):
        assert not getattr(flow, name).any(), name


def test_voltage_sags_in_the_evening() -> None:
    voltage = load(7, METERS, DAY, 900).voltage
    assert (hours(voltage, 19, 21) < hours(voltage, 2, 4) - 2).mean() > 0.95


def test_offices_work_by_day_and_homes_live_in_the_evening() -> None:
    offices, homes = of_kind("office").vah_import, of_kind("home").vah_import
    assert hours(offices, 11, 16).mean() > 4 * hours(offices, 0, 5).mean()
    assert hours(homes, 19, 22).mean() > 2 * hours(homes, 9, 16).mean()


@pytest.mark.parametrize("days", [3, 18])
def test_an_office_rests_on_sunday_and_on_republic_day(days: int) -> None:
    thursday, rest = (of_kind("office", DAY + 86_400 * day).wh_import for day in (0, days))
    assert rest.sum() < 0.4 * thursday.sum()


def test_lamps_burn_in_the_dark_and_longer_in_winter() -> None:
    january, june = (of_kind("street_light", month(number)[0] + 900 * np.arange(96)).wh_import for number in (1, 6))
    assert hours(january, 20, 23).mean() > 50 * hours(january, 9, 16).mean()
    assert january.sum() > 1.15 * june.sum()


def test_pumps_run_for_the_winter_crop_in_the_hours_of_their_feeder() -> None:
    december, july = (of_kind("pump", month(number)[0] + 900 * np.arange(96)).wh_import for number in (12, 7))
    assert december.sum() > 10 * july.sum()
    assert hours(december, 10, 14).mean() > 100 * hours(december, 3, 8).mean()


def test_may_takes_more_than_november() -> None:
    may, november = (load(7, METERS, month(number), 86_400).wh_import.sum() for number in (5, 11))
    assert may > 1.3 * november


def test_panels_feed_in_by_day_and_never_by_night() -> None:
    fed_in = of_kind("rooftop_solar").wh_export
    assert (hours(fed_in, 11, 14) > 100).mean() > 0.9
    assert not fed_in[:, : 5 * 4].any()
    assert not fed_in[:, 19 * 4 :].any()
    assert not of_kind("office").wh_export.any()


def test_a_town_has_some_of_each_kind_and_mostly_offices() -> None:
    kinds = np.bincount(archetypes_of(7, np.arange(4000)), minlength=len(ARCHETYPES)) / 4000
    assert 0.5 < kinds[kind_number("office")] < 0.6
    assert kinds[kind_number("rooftop_solar")] > 0.08
    assert kinds[kind_number("pump")] == 0


@pytest.mark.parametrize("kind", ARCHETYPES)
def test_blocks_of_any_length_add_up_to_the_wh(kind: str) -> None:
    minutes = of_kind(kind, MIDNIGHT_IST + 60 * np.arange(2 * 1440), 3, period_s=60)
    days = of_kind(kind, MIDNIGHT_IST + 86_400 * np.arange(2), 3, period_s=86_400)
    for name in ("wh_import", "vah_import", "wh_export", "vah_export", "varh_q1", "varh_q2", "varh_q3", "varh_q4"):
        assert np.array_equal(getattr(minutes, name).reshape(100, 2, -1).sum(axis=2), getattr(days, name)), name


def test_days_differ_by_mood_and_quarters_by_flicker_but_years_hardly() -> None:
    weeks = of_kind("home", MIDNIGHT_IST + 7 * 86_400 * np.arange(4), period_s=86_400).wh_import
    assert 0.05 < (weeks.std(axis=1) / weeks.mean(axis=1)).mean() < 0.3
    years = of_kind("home", month(1)[0] + 365 * 86_400 * np.arange(4), period_s=365 * 86_400).wh_import
    assert (years.std(axis=1) / years.mean(axis=1)).max() < 0.01


def test_nothing_flows_in_years_that_the_load_is_not_known_for() -> None:
    far_away = [0, int(datetime(2019, 6, 1, tzinfo=UTC).timestamp()), int(datetime(2199, 6, 1, tzinfo=UTC).timestamp())]
    flow = load(1, METERS, far_away, 900)
    assert not flow.vah_import.any()
    assert not flow.current.any()
    assert (flow.voltage > 200).all()


def test_two_days_of_a_thousand_meters_take_less_than_a_second() -> None:
    begun = time.perf_counter()
    flow = load(7, np.arange(1000), np.arange(192) * 900 + MIDNIGHT_IST, 900)
    assert time.perf_counter() - begun < 1.0
    assert flow.voltage.shape == (1000, 192)
