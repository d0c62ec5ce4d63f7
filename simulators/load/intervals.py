"""What a meter measures in each interval, from what flowed (`curve.py`) and from what the grid supplied.

The one rule: energies are whole Wh, VAh and varh, cut so that those of neighbouring intervals add up to the difference
of the registers; averages and powers are of the exact flow. A channel has its name in `profiles.channels` wherever it
has a column there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.load.curve import (
    EXPORT,
    FLOWS,
    IMPORT,
    REACTIVE,
    VAH_EXPORT_EXCESS,
    VAH_IMPORT_EXCESS,
    VARH_Q1,
    VARH_Q2,
    VARH_Q3,
    VARH_Q4,
    WH_EXPORT,
    WH_IMPORT,
    Consumers,
    flown,
)
from simulators.load.days import IST_OFFSET_S, SLOT_S
from simulators.load.noise import Floats, Hashes, Integers, unit
from simulators.spans import Overlaps, Spans, joined

_EVENING_SAG: Final = tuple(
    math.exp(-0.5 * ((hour - 19.6) / 1.7) ** 2) + 0.4 * math.exp(-0.5 * ((hour - 8.0) / 1.5) ** 2) for hour in range(25)
)
"""How far the voltage has sunk at each hour, when everyone cooks and lights."""


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """What flowed in each interval; every array has the shape (meters, slots).

    Energies are those of the interval in Wh, VAh and varh; voltages (V), currents (A), powers (W) and power factors are
    averages over it, without supply 0; `w_instant`, `va_instant`, `var_instant` (negative: leading) and `frequency`
    (Hz) are those at its end.
    `meter_health` is the meter's health octet (0: well), `signal_strength` dBm (negative whole numbers),
    `supplied` the part of the interval with supply, 0 to 1.
    Of a single-phase meter, `voltage_l1` and `current_l1` are its only ones. Of a three-phase meter, `voltage` and
    `current` are means of the phases.
    """

    voltage: Floats
    current: Floats
    wh_import: Floats
    vah_import: Floats
    wh_export: Floats
    vah_export: Floats
    meter_health: Floats
    signal_strength: Floats
    voltage_l1: Floats
    voltage_l2: Floats
    voltage_l3: Floats
    current_l1: Floats
    current_l2: Floats
    current_l3: Floats
    neutral_current: Floats
    varh_q1: Floats
    varh_q2: Floats
    varh_q3: Floats
    varh_q4: Floats
    w_import: Floats
    w_export: Floats
    w_instant: Floats
    va_instant: Floats
    var_instant: Floats
    power_factor: Floats
    power_factor_l1: Floats
    power_factor_l2: Floats
    power_factor_l3: Floats
    frequency: Floats
    supplied: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """How meters are connected, arrays in the order of their consumers: `phases` 1 or 3; `nominal_v` from phase to
    neutral; `transformer` the noise coordinate of their distribution transformer; `ampere` what loads them well."""

    phases: Integers
    nominal_v: Floats
    transformer: Integers | Hashes
    ampere: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Disturbance:
    """What is wrong with the supply: spans whose rows are places among the meters asked for.

    `off`: no supply. `open`: no consumption, but voltage (a load switch). `low`, `over`: bad voltage. `missing`: one
    phase of a three-phase meter is gone, `missing_phase` says which (0 to 2) for each span. All merged.
    """

    off: Spans
    open: Spans
    low: Spans
    over: Spans
    missing: Spans
    missing_phase: Integers

    @classmethod
    def none(cls) -> Disturbance:
        nothing = Spans.none()
        return cls(nothing, nothing, nothing, nothing, nothing, nothing.row)


@dataclass(frozen=True, slots=True, eq=False)
class Energies:
    """What flowed in intervals, each array (FLOWS, meters, intervals): whole units as registers count them, exactly."""

    whole: Integers
    exact: Floats


LOW_PART: Final = 0.74
OVER_PART: Final = 1.17
"""Voltages under low and over voltage, as parts of the usual ones."""


def flows_of(who: Consumers, service: Service) -> tuple[int, ...]:
    """Which flows there are: reactive ones on three-phase meters only."""
    reactive = REACTIVE if (service.phases == 3).any() else ()
    given = EXPORT if who.generates else ()
    return (*IMPORT, *given, *reactive)


def energies(who: Consumers, service: Service, starts: Integers, length_s: int, without: Spans) -> Energies:
    """What flowed to all of `who` in each interval [start, start + length_s).

    Nothing flows in the spans `without`, which are merged. A register counts whole units, before and after each span
    too: so energies add up whatever the intervals are. Single-phase meters measure no reactive energy.
    """
    flows, shape = flows_of(who, service), (FLOWS, len(who.index), len(starts))
    edges = np.union1d(starts, starts + length_s)
    begin, end = np.searchsorted(edges, starts), np.searchsorted(edges, starts + length_s)
    upto = flown(who, np.arange(len(who.index))[:, None], edges[None, :], flows)
    whole, exact = np.zeros(shape, np.int64), np.zeros(shape)
    for nth, flow in enumerate(flows):
        counted = _counted(upto[nth])
        np.subtract(counted[:, end], counted[:, begin], out=whole[flow])
        np.subtract(upto[nth][:, end], upto[nth][:, begin], out=exact[flow])
    if len(without):
        _take_out(who, flows, without.overlaps(starts, length_s), whole, exact)
    if REACTIVE[0] in flows:
        single = np.ix_(REACTIVE, service.phases == 1)
        whole[single], exact[single] = 0, 0.0
    return Energies(whole, exact)


def _take_out(who: Consumers, flows: tuple[int, ...], lost: Overlaps, whole: Integers, exact: Floats) -> None:
    """Take what would have flowed in the parts `lost` of intervals out of their energies."""
    before, after = flown(who, lost.row, lost.begin, flows), flown(who, lost.row, lost.end, flows)
    place = (lost.row, lost.column)
    for nth, flow in enumerate(flows):
        np.subtract.at(whole[flow], place, _counted(after[nth]) - _counted(before[nth]))
        np.subtract.at(exact[flow], place, after[nth] - before[nth])
    np.maximum(exact, 0.0, out=exact)  # what is left of an interval without any supply may be a last bit below 0


def counted_since(who: Consumers, service: Service, moments: Integers, since: int, without: Spans) -> Integers:
    """The registers of all of `who` at each moment, whole units since `since`: (FLOWS, meters, moments).

    `without` are all spans since then in which nothing flows, merged. Before `since` registers stand at 0.
    """
    flows, meters = flows_of(who, service), np.arange(len(who.index))[:, None]
    moment = np.maximum(np.broadcast_to(moments[None, :], (len(who.index), len(moments))), since)
    first = np.maximum(without.start, since)
    before, row_begin = without.at(meters, moment)
    if len(without):
        next_ = np.minimum(row_begin + before, len(without) - 1)
        within = (without.row[next_] == meters) & (first[next_] < moment) & (without.end[next_] > moment)
        moment = np.where(within, first[next_], moment)
    spent = _counted(flown(who, without.row, without.end, flows)) - _counted(flown(who, without.row, first, flows))
    lost = np.concatenate([np.zeros((len(flows), 1), np.int64), np.cumsum(spent, axis=1)], axis=1)
    counted = np.zeros((FLOWS, *moment.shape), np.int64)
    begun = _counted(flown(who, meters, np.int64(since), flows))
    counted[list(flows)] = _counted(flown(who, meters, moment, flows)) - begun
    counted[list(flows)] -= lost[:, row_begin + before] - lost[:, row_begin]
    counted[np.ix_(REACTIVE, service.phases == 1)] = 0
    return counted


def measured(who: Consumers, service: Service, starts: Integers, length_s: int, what: Disturbance) -> Load:
    """What the meters of `who` measure in the intervals [start, start + length_s) of `starts`."""
    shape, hours = (len(who.index), len(starts)), length_s / 3600.0
    flow = energies(who, service, starts, length_s, joined(what.off, what.open).merged())
    count, power = flow.whole.astype(np.float64), flow.exact / hours
    va_import = power[WH_IMPORT] + power[VAH_IMPORT_EXCESS]
    va_export = power[WH_EXPORT] + power[VAH_EXPORT_EXCESS]
    apparent = va_import + va_export
    active = power[WH_IMPORT] + power[WH_EXPORT]

    supplied = 1.0 - what.off.overlaps(starts, length_s).seconds(shape) / length_s
    phases = _phases(who, service, starts, length_s, what, supplied, apparent, va_import - va_export)
    factor = np.where(apparent > 0.0, active / np.maximum(apparent, 1e-12), np.where(supplied > 0.0, 1.0, 0.0))
    number = service.phases[:, None]
    meter, slot, ends = who.index[:, None], starts[None, :] // length_s, starts + length_s
    ending = 0.85 + 0.3 * unit(who.seed, "ending", meter, ends)
    return Load(
        voltage=sum((phase.volts for phase in phases), start=np.zeros(shape)) / number,
        current=sum((phase.amperes for phase in phases), start=np.zeros(shape)) / number,
        wh_import=count[WH_IMPORT],
        vah_import=count[WH_IMPORT] + count[VAH_IMPORT_EXCESS],
        wh_export=count[WH_EXPORT],
        vah_export=count[WH_EXPORT] + count[VAH_EXPORT_EXCESS],
        meter_health=np.where(unit(who.seed, "health", meter, slot) < 0.0005, 1.0, 0.0),
        signal_strength=np.rint(
            -95.0 + 40.0 * unit(who.seed, "signal", meter) + 6.0 * unit(who.seed, "fading", meter, slot)
        ),
        **{f"voltage_l{nth}": phase.volts for nth, phase in enumerate(phases, 1)},
        **{f"current_l{nth}": phase.amperes for nth, phase in enumerate(phases, 1)},
        **{f"power_factor_l{nth}": factor * phase.there for nth, phase in enumerate(phases, 1)},
        neutral_current=_neutral(*(phase.amperes for phase in phases)),
        varh_q1=count[VARH_Q1],
        varh_q2=count[VARH_Q2],
        varh_q3=count[VARH_Q3],
        varh_q4=count[VARH_Q4],
        w_import=power[WH_IMPORT],
        w_export=power[WH_EXPORT],
        w_instant=power[WH_IMPORT] * ending,
        va_instant=va_import * ending,
        var_instant=(power[VARH_Q1] + power[VARH_Q2] - power[VARH_Q3] - power[VARH_Q4]) * ending,
        power_factor=factor,
        frequency=np.where(supplied > 0.0, 49.9 + 0.15 * unit(who.seed, "frequency", ends // SLOT_S), 0.0),
        supplied=supplied,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Phase:
    """One phase of all meters: averages over each interval; `there` is 1 where the meter has it, it is live, or 0."""

    volts: Floats
    amperes: Floats
    there: Floats


def _phases(
    who: Consumers,
    service: Service,
    starts: Integers,
    length_s: int,
    what: Disturbance,
    supplied: Floats,
    va: Floats,
    va_net: Floats,
) -> list[_Phase]:
    """The three phases; of a single-phase meter, the first alone is there."""
    shape, three = (len(who.index), len(starts)), (service.phases == 3)[:, None]
    if not three.any():
        volts = _voltage(who, service, starts, length_s, va_net, 0) * _raised(what, starts, length_s, shape)
        nothing = np.zeros(shape)
        return [_Phase(volts * supplied, va / volts, np.ones(shape)), *(2 * [_Phase(nothing, nothing, nothing)])]
    raised = _raised(what, starts, length_s, shape)
    live = [_live(what, starts, length_s, shape, phase) * (three | (phase == 0)) for phase in range(3)]
    weights = [_weight(who, starts, length_s, phase) * live[phase] for phase in range(3)]
    each = va / np.maximum(sum(weights, start=np.zeros(shape)), 1e-12)
    while_on = [_voltage(who, service, starts, length_s, va_net, phase) * raised for phase in range(3)]
    return [
        _Phase(volts * part * supplied, each * weight / volts, np.where(part > 0.0, 1.0, 0.0))
        for volts, part, weight in zip(while_on, live, weights, strict=True)
    ]


def _counted(flow: Floats) -> Integers:
    counted: Integers = np.floor(flow).astype(np.int64)
    return counted


def _live(what: Disturbance, starts: Integers, length_s: int, shape: tuple[int, int], phase: int) -> Floats:
    """The part of each interval in which a phase is not missing."""
    of_phase = what.missing_phase == phase
    gone = Spans(what.missing.row[of_phase], what.missing.start[of_phase], what.missing.end[of_phase])
    return 1.0 - gone.overlaps(starts, length_s).seconds(shape) / length_s


def _raised(what: Disturbance, starts: Integers, length_s: int, shape: tuple[int, int]) -> Floats:
    """What bad voltage makes of each interval's voltage: a factor."""
    low, over = (spans.overlaps(starts, length_s).seconds(shape) / length_s for spans in (what.low, what.over))
    return 1.0 + (LOW_PART - 1.0) * low + (OVER_PART - 1.0) * over


def _voltage(who: Consumers, service: Service, starts: Integers, length_s: int, va_net: Floats, phase: int) -> Floats:
    """V by the transformer's tap, sagging in the evening, less the drop in the meter's own line."""
    tap = 1.004 + 0.04 * (unit(who.seed, "tap", service.transformer) - 0.5)
    sag = 0.013 + 0.038 * unit(who.seed, "weak line", service.transformer)
    hour = (starts + length_s // 2 + IST_OFFSET_S) % 86_400 / 3600.0
    sunk = np.interp(hour, np.arange(25), _EVENING_SAG)
    ripple = 0.013 * (unit(who.seed, f"ripple {phase}", who.index[:, None], starts // length_s) - 0.5)
    rated = service.nominal_v * service.ampere * service.phases
    part = tap[:, None] - sag[:, None] * sunk + ripple
    return part * service.nominal_v[:, None] - va_net * (0.04 * service.nominal_v / rated)[:, None]


def _weight(who: Consumers, starts: Integers, length_s: int, phase: int) -> Floats:
    """How much of what flows a phase bears, by the meter's wiring and by the moment."""
    wired = 0.7 + 0.6 * unit(who.seed, f"wiring {phase}", who.index[:, None])
    return wired * (0.85 + 0.3 * unit(who.seed, f"unbalance {phase}", who.index[:, None], starts // length_s))


def _neutral(a: Floats, b: Floats, c: Floats) -> Floats:
    """What three currents, 120 degrees apart, leave for the neutral; all of it where there is only one."""
    return np.sqrt(np.maximum(a * a + b * b + c * c - a * b - b * c - c * a, 0.0))
