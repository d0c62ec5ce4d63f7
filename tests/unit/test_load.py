"""The physical load: pure, believable, fast."""

from __future__ import annotations

import time
from dataclasses import fields
from datetime import UTC, datetime

import numpy as np

from simulators.load import HOME, OFFICE, Floats, Load, consumer_kinds, load

MIDNIGHT_IST = int(datetime(2026, 1, 7, 18, 30, tzinfo=UTC).timestamp())
"""Thursday 2026-01-08 00:00 in India."""
DAY = np.arange(MIDNIGHT_IST, MIDNIGHT_IST + 86_400, 900)
METERS = np.arange(400)


FROZEN = [228.43692629755367, 0.18327275832385778, 8.63061013198261, -54.0]
"""Volt, ampere, Wh and dBm of meter 0 under seed 1 in the first quarter of 2026 in India."""


def channels(flow: Load) -> dict[str, Floats]:
    return {field.name: getattr(flow, field.name) for field in fields(flow)}


def hours(flow: Floats, first: int, last: int) -> Floats:
    """Mean over the local hours [first, last) of one day, for each meter."""
    means: Floats = flow[:, first * 4 : last * 4].mean(axis=1)
    return means


def test_a_slice_of_meters_and_slots_in_any_order_has_the_values_of_the_whole() -> None:
    whole = channels(load(7, METERS, DAY, 900))
    some_meters, some_slots = np.array([311, 4, 90]), np.array([95, 0, 40])
    part = channels(load(7, some_meters, DAY[some_slots], 900))
    for name, values in part.items():
        assert np.allclose(values, whole[name][np.ix_(some_meters, some_slots)], rtol=1e-12), name


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


def test_physics_holds_in_every_interval() -> None:
    flow = load(7, METERS, DAY, 900)
    assert (flow.voltage > 200).all()
    assert (flow.voltage < 255).all()
    assert (flow.wh_import >= 0).all()
    assert (flow.wh_export >= 0).all()
    assert (flow.vah_import >= flow.wh_import).all()
    assert (flow.vah_export >= flow.wh_export).all()
    assert np.allclose(flow.current * flow.voltage / 4, flow.vah_import + flow.vah_export)
    assert flow.current.max() < 65
    assert set(np.unique(flow.meter_health)) <= {0.0, 1.0}
    assert ((flow.signal_strength >= -128) & (flow.signal_strength < 0)).all()


def test_voltage_sags_in_the_evening() -> None:
    voltage = load(7, METERS, DAY, 900).voltage
    assert (hours(voltage, 19, 21) < hours(voltage, 2, 4) - 2).mean() > 0.95


def test_offices_work_by_day_and_homes_live_in_the_evening() -> None:
    taken, kinds = load(7, METERS, DAY, 900).vah_import, consumer_kinds(7, METERS)
    offices, homes = taken[kinds == OFFICE], taken[kinds == HOME]
    assert hours(offices, 11, 16).mean() > 5 * hours(offices, 0, 5).mean()
    assert hours(homes, 19, 22).mean() > 2 * hours(homes, 9, 16).mean()


def test_an_office_rests_on_sunday() -> None:
    offices = METERS[consumer_kinds(7, METERS) == OFFICE]
    thursday, sunday = load(7, offices, DAY, 900).wh_import, load(7, offices, DAY + 3 * 86_400, 900).wh_import
    assert sunday.sum() < 0.4 * thursday.sum()


def test_may_takes_more_than_november() -> None:
    taken = {
        month: load(
            7, METERS, [int(datetime(2026, month, day, 7, tzinfo=UTC).timestamp()) for day in range(1, 29)], 900
        )
        for month in (5, 11)
    }
    assert taken[5].wh_import.sum() > 1.3 * taken[11].wh_import.sum()


def test_some_roofs_feed_in_by_day_and_none_by_night() -> None:
    fed_in = load(7, METERS, DAY, 900).wh_export
    assert 0.05 < (hours(fed_in, 11, 14) > 0).mean() < 0.3
    assert (fed_in[:, : 5 * 4] == 0).all()
    assert (fed_in[:, 19 * 4 :] == 0).all()


def test_half_an_hour_holds_about_two_quarters() -> None:
    quarter, half = load(7, METERS, DAY, 900), load(7, METERS, DAY[::2], 1800)
    assert abs(half.wh_import.sum() / quarter.wh_import.sum() - 1) < 0.02


def test_two_days_of_a_thousand_meters_take_less_than_a_second() -> None:
    begun = time.perf_counter()
    flow = load(7, np.arange(1000), np.arange(192) * 900 + MIDNIGHT_IST, 900)
    assert time.perf_counter() - begun < 1.0
    assert flow.voltage.shape == (1000, 192)
