"""What a meter measures at given moments: the physical values of the columns of rows, before any register rounds them.

The one rule: rows of one read are worked out together, and what several columns share is worked out once.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulators.conditions import Conditions
from simulators.load import Load
from simulators.load.noise import Integers
from simulators.quantities import Measure, Quantity
from simulators.world import Registers

_MOMENT_S: Final = 60
"""What is measured at one moment is the average of the minute before it."""
_FLOWS: Final = Registers.__slots__
_RATES: Final = 9
"""The total, and rates 1 to 8."""


class Measured:
    """Rows of one meter, each captured at a moment `at` (seconds since 1970 UTC, ascending)."""

    def __init__(self, conditions: Conditions, at: Integers, period_s: int = 0) -> None:
        """`period_s`: what the interval that ends with each row lasts; 0 where rows are of single moments."""
        self._conditions = conditions
        self._at = at
        self._period_s = period_s or _MOMENT_S

    def values(self, quantity: Quantity) -> NDArray[Any]:
        """Physical values, one a row; times in seconds since 1970 UTC. Not of events: those are the log's."""
        match quantity.measure:
            case Measure.INTERVAL:
                return self._of_interval(quantity.channel)
            case Measure.TOTAL:
                return self._total(quantity)
            case Measure.DEMAND | Measure.DEMAND_TIME:
                value, at = self._demands[_FLOWS.index(quantity.channel)]
                return (value if quantity.measure is Measure.DEMAND else at)[:, quantity.rate]
            case Measure.BILLING_FACTOR:
                return self._billing_factor()
            case Measure.TIME:
                return self._at
            case Measure.SWITCH:
                return np.array([not self._is_open(moment) for moment in self._at.tolist()], np.int64)
            case Measure.LIMIT:
                return np.full(len(self._at), self._conditions.watts)
            case Measure.CONSTANT:
                return np.full(len(self._at), quantity.rate)
        return self._counted(quantity.measure)

    def supplied(self) -> NDArray[np.float64]:
        """The part of each row's interval with supply, 0 to 1."""
        return self._of_interval("supplied")

    # --- intervals --------------------------------------------------------------------------------------------

    @cached_property
    def _load(self) -> tuple[Load, int]:
        starts = self._at - self._period_s
        spans = self._conditions.open_spans()
        step = np.diff(starts)
        if spans is None and len(starts) and (step == self._period_s).all():
            whole = range(int(starts[0]), int(starts[-1]) + 1, self._period_s)
            return self._conditions.around.load(self._conditions.meter, whole)
        return self._conditions.world.load([self._conditions.meter], starts, self._period_s, spans), 0

    def _of_interval(self, channel: str) -> NDArray[Any]:
        load, row = self._load
        found: NDArray[Any] = getattr(load, channel)[row]
        return found

    # --- registers --------------------------------------------------------------------------------------------

    def _total(self, quantity: Quantity) -> NDArray[Any]:
        if not quantity.rate:
            total: NDArray[Any] = getattr(self._totals, quantity.channel)[0]
            return total
        by_rate: NDArray[Any] = getattr(self._by_rate, quantity.channel)[quantity.rate - 1]
        return by_rate

    @cached_property
    def _totals(self) -> Registers:
        return self._registers(self._at)

    @cached_property
    def _by_rate(self) -> Registers:
        of, spans = self._conditions, self._conditions.open_spans()
        return of.world.rate_registers(of.meter, self._at, of.tariff, open_=spans)

    def _registers(self, moments: Integers) -> Registers:
        of = self._conditions
        return of.world.registers([of.meter], moments, of.open_spans())

    # --- billing periods --------------------------------------------------------------------------------------

    @cached_property
    def _begun(self) -> Integers:
        """When the billing period began that each row still belongs to: a row at its very end does."""
        if not len(self._at):
            return self._at
        commissioned = self._conditions.world.commissioned_at
        ends = self._conditions.billing_ends(int(self._at[-1]))
        edges = np.concatenate([[commissioned], ends])
        begun: Integers = edges[np.maximum(np.searchsorted(edges, self._at, "left") - 1, 0)]
        return begun

    @cached_property
    def _demands(self) -> list[tuple[Integers, Integers]]:
        """By flow, of each row and rate: the highest demand of its billing period so far, and the end of its time."""
        of, period_s = self._conditions, self._conditions.demand_period_s
        empty = np.zeros((len(self._at), _RATES), np.int64)
        values, times = [empty.copy() for _ in _FLOWS], [empty + self._begun[:, None] for _ in _FLOWS]
        since, until = (int(self._begun.min()), int(self._at.max())) if len(self._at) else (0, 0)
        starts = np.arange(-(-since // period_s) * period_s, until - period_s + 1, period_s, dtype=np.int64)
        demands = of.world.demands([of.meter], starts, period_s, of.open_spans())
        rates = of.tariff.rates(starts)
        for row, (begun, at) in enumerate(zip(self._begun.tolist(), self._at.tolist(), strict=True)):
            inside = slice(*np.searchsorted(starts, [begun, at - period_s + 1], "left"))
            for flow, name in enumerate(_FLOWS):
                demand = getattr(demands, name)[0][inside]
                if not demand.any():
                    continue
                for rate in range(_RATES):
                    counted = demand if rate == 0 else np.where(rates[inside] == rate, demand, 0)
                    place = int(counted.argmax())
                    if counted[place]:
                        values[flow][row, rate] = counted[place]
                        times[flow][row, rate] = starts[inside][place] + period_s
        return list(zip(values, times, strict=True))

    def _billing_factor(self) -> NDArray[Any]:
        """Active over apparent energy of the billing period so far; 1 where nothing has flowed."""
        before, after = self._registers(self._begun), self._totals
        active, apparent = (
            (getattr(after, name) - getattr(before, name))[0].astype(np.float64) for name in ("wh_import", "vah_import")
        )
        factor: NDArray[Any] = np.divide(active, apparent, out=np.ones(len(self._at)), where=apparent > 0)
        return factor

    # --- the meter's own life ---------------------------------------------------------------------------------

    def _counted(self, measure: Measure) -> NDArray[Any]:
        if measure is Measure.PROGRAMMINGS:
            return np.full(len(self._at), self._conditions.programmings)
        if measure is Measure.BILLINGS:
            ends = self._conditions.billing_ends(int(self._at.max(initial=0)))
            return np.searchsorted(ends, self._at, "right")
        if measure is Measure.TAMPERS:
            return np.array([self._tampers(moment) for moment in self._at.tolist()], np.int64)
        number, off_s = self._power_off(self._at)
        if measure is Measure.FAILURES:
            return number
        if measure is Measure.OFF_MINUTES:
            return off_s // 60
        since = self._conditions.world.commissioned_at
        if measure is Measure.BILLING_ON_MINUTES:
            return (self._at - self._begun - off_s + self._power_off(self._begun)[1]) // 60
        return (self._at - since - off_s) // 60

    def _power_off(self, moments: Integers) -> tuple[Integers, Integers]:
        if not len(moments):
            return moments, moments
        number, seconds = self._conditions.world.power_off([self._conditions.meter], moments)
        return number[0], seconds[0]

    def _tampers(self, moment: int) -> int:
        of = self._conditions
        events = of.around.events(of.meter, moment, of.logged_after_s)
        return sum(one.code in TAMPER_CODES for one in events)

    def _is_open(self, moment: int) -> bool:
        return any(start <= moment < end for start, end in self._conditions.open)


TAMPER_CODES: Final = frozenset({*range(51, 71, 2), *range(201, 209, 2), 251})
"""Occurrences that the tamper count counts."""
