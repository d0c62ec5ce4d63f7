"""The physical load behind each simulated meter: what really flows, before any register rounds it.

The one rule: everything here is a pure function of (seed, meter, time). No state, no random generator; noise is a hash
of its own coordinates, so any slice of meters and slots, asked for in any order, gives the same numbers.
Times are seconds since 1970 UTC. Local time only shapes the day (when people come to the office), it stamps nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]

OFFICE, HOME, SHOP = 0, 1, 2
"""Kinds of consumer; the first meters of a roll-out hang in government offices, so most are offices."""

IST_OFFSET_S = 19_800
"""India's only zone: UTC + 5:30, no summer time."""

_LARGEST_LOAD_W = 12_000.0
"""A 10-60 A single-phase service."""


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """What flowed in each interval; every array has the shape (meters, slots).

    `voltage` V and `current` A are averages over the interval; energies are those of the interval, in Wh and VAh.
    `meter_health` is the meter's health octet (0: well), `signal_strength` dBm (negative whole numbers).
    """

    voltage: Floats
    current: Floats
    wh_import: Floats
    vah_import: Floats
    wh_export: Floats
    vah_export: Floats
    meter_health: Floats
    signal_strength: Floats


def load(seed: int, meters: ArrayLike, starts: ArrayLike, period_s: int) -> Load:
    """The load of `meters` (indexes in the fleet) over the intervals [start, start + period_s) for each of `starts`.

    `starts` are seconds since 1970 UTC, in any order.
    """
    meter = np.atleast_1d(np.asarray(meters, np.uint64))[:, None]
    start = np.atleast_1d(np.asarray(starts, np.int64))[None, :]
    slot = start.astype(np.uint64)
    hours = period_s / 3600.0

    consumed = _consumption(seed, meter, start + period_s // 2)
    consumed = np.minimum(consumed * (0.75 + 0.5 * _unit(seed, "flicker", meter, slot)), _LARGEST_LOAD_W)
    generated = _solar(seed, meter, start + period_s // 2)
    both_ways = 0.08 * np.minimum(consumed, generated)
    """Within one interval a cloud or a kettle makes the flow turn: some of either direction."""
    imported = np.maximum(consumed - generated, 0.0) + both_ways
    exported = np.maximum(generated - consumed, 0.0) + both_ways

    factor_import = 0.80 + 0.15 * _unit(seed, "power factor", meter) + 0.04 * _unit(seed, "factor", meter, slot)
    va_import = imported / factor_import
    va_export = exported / 0.98
    voltage = _no_load_voltage(seed, meter, start + period_s // 2, slot) - 0.0011 * (va_import - va_export)
    return Load(
        voltage=voltage,
        current=(va_import + va_export) / voltage,
        wh_import=imported * hours,
        vah_import=va_import * hours,
        wh_export=exported * hours,
        vah_export=va_export * hours,
        meter_health=np.where(_unit(seed, "health", meter, slot) < 0.0005, 1.0, 0.0),
        signal_strength=np.rint(-95.0 + 40.0 * _unit(seed, "signal", meter) + 6.0 * _unit(seed, "fading", meter, slot)),
    )


def consumer_kinds(seed: int, meters: ArrayLike) -> NDArray[np.int64]:
    """OFFICE, HOME or SHOP for each of `meters`."""
    draw = _unit(seed, "kind", np.atleast_1d(np.asarray(meters, np.uint64)))
    return np.select([draw < 0.6, draw < 0.85], [OFFICE, HOME], SHOP)


def _consumption(seed: int, meter: Hashes, middle: NDArray[np.int64]) -> Floats:
    """Average W taken by the consumer around `middle`, before the flicker of the single interval."""
    kind = consumer_kinds(seed, meter)
    day, hour, weekday, year_angle = _calendar(middle)
    hour = (hour + 1.2 * (_unit(seed, "habit", meter) - 0.5)) % 24.0
    shape = np.select(
        [kind == OFFICE, kind == HOME],
        [_office_day(hour, weekday), _home_day(hour, weekday)],
        _shop_day(hour, weekday),
    )
    size_w = np.choose(kind, [1500.0, 700.0, 1100.0]) * (0.5 + 2.5 * _unit(seed, "size", meter) ** 2)
    cooling = 0.1 + 0.4 * _unit(seed, "cooling", meter)
    """Fans and coolers peak in the second half of May, before the monsoon."""
    season = 1.0 + cooling * np.cos(year_angle - 2 * np.pi * 140 / 365.25)
    mood = 0.8 + 0.4 * _unit(seed, "day", meter, day.astype(np.uint64))
    return size_w * shape * season * mood


def _office_day(hour: Floats, weekday: NDArray[np.int64]) -> Floats:
    open_ = np.select([weekday == 6, weekday == 5], [0.05, 0.4], 1.0)
    return 0.06 + open_ * (_plateau(hour, 9.8, 17.8) - 0.2 * _bump(hour, 13.6, 0.5))


def _home_day(hour: Floats, weekday: NDArray[np.int64]) -> Floats:
    at_home = np.where(weekday >= 5, 0.45, 0.25)
    return 0.16 + 0.5 * _bump(hour, 7.0, 1.1) + 0.9 * _bump(hour, 20.5, 1.9) + at_home * _bump(hour, 14.0, 2.5)


def _shop_day(hour: Floats, weekday: NDArray[np.int64]) -> Floats:
    open_ = np.where(weekday == 6, 0.35, 1.0)
    return 0.08 + open_ * (0.7 * _plateau(hour, 10.5, 21.3) + 0.3 * _bump(hour, 19.5, 1.5))


def _solar(seed: int, meter: Hashes, middle: NDArray[np.int64]) -> Floats:
    """Average W from the roof; about one meter in seven has panels."""
    peak_w = np.where(_unit(seed, "panels", meter) < 0.14, 1000.0 + 4000.0 * _unit(seed, "panel size", meter), 0.0)
    _, hour, _, _ = _calendar(middle)
    height = np.maximum(np.sin(np.pi * (hour - 6.2) / 12.0), 0.0)
    sky = 0.45 + 0.55 * _unit(seed, "clouds", meter, (middle // 1800).astype(np.uint64))
    return 0.8 * peak_w * height**1.3 * sky


def _no_load_voltage(seed: int, meter: Hashes, middle: NDArray[np.int64], slot: Hashes) -> Floats:
    """230 V by the feeder's tap, sagging when everyone cooks and lights, before the meter's own drop."""
    _, hour, _, _ = _calendar(middle)
    tap = 231.0 + 9.0 * (_unit(seed, "tap", meter) - 0.5)
    sag = (3.0 + 9.0 * _unit(seed, "feeder", meter)) * (_bump(hour, 19.6, 1.7) + 0.4 * _bump(hour, 8.0, 1.5))
    return tap - sag + 3.0 * (_unit(seed, "ripple", meter, slot) - 0.5)


def _calendar(
    utc: NDArray[np.int64],
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64], Floats]:
    """Local day number since 1970, hour 0..24, weekday (0: Monday), angle of the year."""
    local = utc + IST_OFFSET_S
    day = local // 86_400
    year_angle = day.astype(np.float64) * (2 * np.pi / 365.25)
    return day, (local % 86_400) / 3600.0, (day + 3) % 7, year_angle


def _plateau(hour: Floats, opens: float, closes: float) -> Floats:
    """0 outside, 1 within, with about half an hour of coming and going."""
    return 0.25 * (1.0 + np.tanh(2.0 * (hour - opens))) * (1.0 + np.tanh(2.0 * (closes - hour)))


def _bump(hour: Floats, centre: float, width: float) -> Floats:
    """A peak of height 1 around `centre`, running on past midnight."""
    distance = (hour - centre + 12.0) % 24.0 - 12.0
    return np.exp(-0.5 * (distance / width) ** 2)


def _unit(seed: int, salt: str, *coordinates: Hashes) -> Floats:
    """Noise in [0, 1): a hash of the seed, what it is for, and where (coordinates broadcast against each other)."""
    origin = hashlib.blake2b(salt.encode(), digest_size=8, salt=(seed % 2**64).to_bytes(8, "big")).digest()
    state: Hashes = np.frombuffer(origin, ">u8").astype(np.uint64)
    for coordinate in coordinates:
        state = _mix(state ^ coordinate)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(state: Hashes) -> Hashes:
    """One step of splitmix64 (Steele, Lea, Flood 2014); arithmetic modulo 2**64."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
