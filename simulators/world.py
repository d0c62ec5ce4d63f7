"""The world that simulated meters live in: what flows to each, when its supply is gone, what is done to it.

The one rule: all of it is a pure function of (seed, meter, time). A world remembers nothing, so that a meter, its
pushes and the answer key ask it separately and hear the same. Times are whole seconds since 1970 UTC, by true time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from simulators.load import archetypes_of
from simulators.load.curve import (
    VAH_EXPORT_EXCESS,
    VAH_IMPORT_EXCESS,
    VARH_Q1,
    VARH_Q2,
    VARH_Q3,
    VARH_Q4,
    WH_EXPORT,
    WH_IMPORT,
    Consumers,
    consumers,
)
from simulators.load.days import IST_OFFSET_S
from simulators.load.intervals import Disturbance, Load, Service, counted_since, energies, measured
from simulators.load.noise import Floats, Integers
from simulators.outages import OutageRates, Outages, PowerFailure
from simulators.spans import Rate, Spans, joined
from simulators.tampers import LOW_VOLTAGE, OVER_VOLTAGE, PHASE_MISSING, Tamper, Tampers
from simulators.topology import Division, Topology, lay_out

POWER_FAILED, POWER_RESTORED = 101, 102
_NOMINAL_V: Final = 230.0
_SECONDARY_V: Final = 110.0 / 3**0.5
"""Behind a voltage transformer."""
_AMPERE: Final = 30.0
_SHARE_OF_RATED: Final = 0.5
_CT_AMPERE: Final = 5.0
_DAY_S: Final = 86_400
_HOUR_S: Final = 3600
_LONGEST_BOOT_S: Final = 60


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """What hangs where, arrays by meter index.

    `kind`: number of its archetype; `phases`: 1 or 3; `current_ratio` and `voltage_ratio`: of its instrument
    transformers, 1 without. All that the world says of a meter is on the primary side.
    """

    kind: Integers
    phases: Integers
    current_ratio: Integers
    voltage_ratio: Integers

    @property
    def nominal_v(self) -> Floats:
        """V from phase to neutral."""
        return np.where(self.voltage_ratio > 1, _SECONDARY_V * self.voltage_ratio, _NOMINAL_V)

    @property
    def behind_transformers(self) -> Integers:
        """Whether a meter is, as 0 or 1."""
        return ((self.current_ratio > 1) | (self.voltage_ratio > 1)).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Registers:
    """Cumulative registers in whole Wh, VAh and varh since commissioning; arrays of shape (meters, moments)."""

    wh_import: Integers
    vah_import: Integers
    wh_export: Integers
    vah_export: Integers
    varh_q1: Integers
    varh_q2: Integers
    varh_q3: Integers
    varh_q4: Integers

    @classmethod
    def of_flows(cls, counted: Integers) -> Registers:
        """From counts of flows, the flows a first axis."""
        return cls(
            counted[WH_IMPORT],
            counted[WH_IMPORT] + counted[VAH_IMPORT_EXCESS],
            counted[WH_EXPORT],
            counted[WH_EXPORT] + counted[VAH_EXPORT_EXCESS],
            counted[VARH_Q1],
            counted[VARH_Q2],
            counted[VARH_Q3],
            counted[VARH_Q4],
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """The highest mean power of a period (W, VA, var), and the end of its interval; if nothing flowed, 0 at `since`."""

    value: int
    at: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """Rates by time of day: from a second of the local day on, a rate (1 to 8) until the next; the first is at 0."""

    switches: tuple[tuple[int, int], ...] = ((0, 1), (6 * 3600, 2), (18 * 3600, 3), (22 * 3600, 1))

    def rates(self, starts: Integers) -> Integers:
        """The rate that each interval that starts there is counted under."""
        seconds = np.array([second for second, _ in self.switches])
        local = (starts + IST_OFFSET_S) % _DAY_S
        rates: Integers = np.array([rate for _, rate in self.switches], np.int64)
        return rates[np.searchsorted(seconds, local, "right") - 1]

    def moments(self, since: int, until: int) -> Integers:
        """All switches in (since, until), ascending."""
        days = np.arange((since + IST_OFFSET_S) // _DAY_S, (until + IST_OFFSET_S) // _DAY_S + 1)
        every = days[:, None] * _DAY_S - IST_OFFSET_S + np.array([second for second, _ in self.switches])
        flat: Integers = every.ravel()
        return flat[(flat > since) & (flat < until)]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event as a meter has it: its code (profiles/events/events.csv) and when the meter noticed. `phase`: 0 to 2."""

    at: int
    code: int
    phase: int = 0


class World:
    """A fleet's grid, consumers, outages and tampers. Meters are named by their index in the fleet."""

    def __init__(
        self,
        seed: int,
        topology: Topology,
        sites: Sites,
        commissioned_at: int,
        outages: OutageRates,
        tampers: Mapping[str, Rate],
    ) -> None:
        self.seed = seed
        self.topology = topology
        self.sites = sites
        self.commissioned_at = commissioned_at
        self.outages = Outages(seed, topology, outages)
        self.tampers = Tampers(seed, topology, sites.phases, sites.behind_transformers, tampers)
        self._who, self._service = _connected(seed, topology, sites)

    def load(self, meters: ArrayLike, starts: ArrayLike, period_s: int, open_: Spans | None = None) -> Load:
        """What `meters` measure in the intervals [start, start + period_s) of `starts`, in any order.

        `open_`: when their load switches are open, rows being places in `meters`: then nothing flows.
        Its `supplied` says which intervals are without supply (0), or partly (below 1).
        """
        meter, start = _indexes(meters), np.atleast_1d(np.asarray(starts, np.int64))
        who, service = self._of(meter)
        if not len(start):
            return measured(who, service, start, period_s, Disturbance.none())
        what = self._disturbance(meter, int(start.min()), int(start.max()) + period_s, open_ or Spans.none())
        return measured(who, service, start, period_s, what)

    def registers(self, meters: ArrayLike, moments: ArrayLike, open_: Spans | None = None) -> Registers:
        """The cumulative registers of `meters` at each of `moments`; 0 before commissioning.

        The difference of two is the sum of the blocks between, to the Wh. The cost does not depend on how far the
        moments lie apart, but for the outages since commissioning.
        """
        meter, moment = _indexes(meters), np.atleast_1d(np.asarray(moments, np.int64))
        who, service = self._of(meter)
        last = max(int(moment.max(initial=0)), self.commissioned_at) + 1
        without = joined(self.outages.spans(meter, self.commissioned_at, last), open_ or Spans.none()).merged()
        return Registers.of_flows(counted_since(who, service, moment, self.commissioned_at, without))

    def rate_registers(
        self, meter: int, moments: ArrayLike, tariff: Tariff, rates: int = 8, open_: Spans | None = None
    ) -> Registers:
        """The registers by rate of one meter: arrays of shape (rates, moments); rates add up to the total."""
        moment = np.maximum(np.atleast_1d(np.asarray(moments, np.int64)), self.commissioned_at)
        switches = tariff.moments(self.commissioned_at, int(moment.max(initial=self.commissioned_at)))
        edges = np.unique(np.concatenate([[self.commissioned_at], switches, moment]))
        total, rate = self.registers([meter], edges, open_), tariff.rates(edges[:-1])
        place = np.searchsorted(edges, moment)

        def by_rate(register: Integers) -> Integers:
            flowed = np.diff(register[0])
            steps = [np.concatenate([[0], np.cumsum(np.where(rate == one, flowed, 0))]) for one in range(1, rates + 1)]
            return np.stack(steps)[:, place]

        return Registers(*(by_rate(getattr(total, name)) for name in Registers.__slots__))

    def demands(self, meters: ArrayLike, starts: ArrayLike, period_s: int, open_: Spans | None = None) -> Registers:
        """The mean W, VA and var over each demand period [start, start + period_s), whole and rounded down."""
        meter, start = _indexes(meters), np.atleast_1d(np.asarray(starts, np.int64))
        who, service = self._of(meter)
        if not len(start):
            return Registers(*(np.zeros((len(meter), 0), np.int64) for _ in Registers.__slots__))
        outages = self.outages.spans(meter, int(start.min()), int(start.max()) + period_s)
        flow = energies(who, service, start, period_s, joined(outages, open_ or Spans.none()).merged())
        of_periods = Registers.of_flows(flow.whole)
        return Registers(*(getattr(of_periods, name) * 3600 // period_s for name in Registers.__slots__))

    def maximum_demand(
        self, meter: int, since: int, until: int, period_s: int, tariff: Tariff | None = None, rate: int = 0
    ) -> Mapping[str, Demand]:
        """The highest demand of one meter in each register's quantity over the whole periods in [since, until).

        With `tariff`, only periods that start in `rate` count.
        """
        starts = np.arange(-(-since // period_s) * period_s, until - period_s + 1, period_s, dtype=np.int64)
        if tariff is not None:
            starts = starts[tariff.rates(starts) == rate]
        demand = self.demands([meter], starts, period_s)
        return {name: _highest(getattr(demand, name)[0], starts + period_s, since) for name in Registers.__slots__}

    def power_off(self, meters: ArrayLike, moments: ArrayLike) -> tuple[Integers, Integers]:
        """How many outages have begun since commissioning, and their seconds, at each moment: (meters, moments)."""
        meter, moment = _indexes(meters), np.atleast_1d(np.asarray(moments, np.int64))
        spans = self.outages.spans(meter, self.commissioned_at, int(moment.max(initial=self.commissioned_at)) + 1)
        number, seconds = (np.zeros((len(meter), len(moment)), np.int64) for _ in range(2))
        for column, upto in enumerate(moment.tolist()):
            begun = spans.start < upto
            length = np.minimum(spans.end, upto) - np.maximum(spans.start, self.commissioned_at)
            np.add.at(number[:, column], spans.row[begun], 1)
            np.add.at(seconds[:, column], spans.row[begun], np.maximum(length[begun], 0))
        return number, seconds

    def power_failures(self, meter: int, since: int, until: int) -> list[PowerFailure]:
        """The outages of one meter that overlap [since, until), by their start."""
        return self.outages.of_meter(meter, since, until)

    def tampers_of(self, meter: int, since: int, until: int) -> list[Tamper]:
        """The tampers of one meter that overlap [since, until), by their start."""
        return self.tampers.of_meter(meter, since, until)

    def events(self, meter: int, since: int, until: int, logged_after_s: int = 0) -> list[Occurrence]:
        """What one meter has noticed in [since, until), in order: outages that lasted `logged_after_s`, tampers.

        What happens to a meter without supply it notices when the supply is back, unless it is over by then; what is
        over before the meter is sure of it, never.
        """
        failures = self.power_failures(meter, since - _LONGEST_BOOT_S, until)
        first = min(since, failures[0].start if failures else since) - _HOUR_S
        found = [
            Occurrence(at, code)
            for failure in failures
            if failure.end - failure.start >= logged_after_s
            for at, code in ((failure.failed_at, POWER_FAILED), (failure.restored_at, POWER_RESTORED))
        ]
        for tamper in self.tampers_of(meter, first, until):
            if tamper.end < tamper.occurred_at:
                continue
            begun, ended = _when_up(failures, tamper.occurred_at), _when_up(failures, tamper.restored_at)
            if tamper.restoration is None:
                found.append(Occurrence(begun, tamper.code, tamper.phase))
            elif begun < ended:
                found.append(Occurrence(begun, tamper.code, tamper.phase))
                found.append(Occurrence(ended, tamper.restoration, tamper.phase))
        return sorted((one for one in found if since <= one.at < until), key=lambda one: (one.at, one.code))

    def _of(self, meter: Integers) -> tuple[Consumers, Service]:
        who, service = self._who, self._service
        return (
            Consumers(self.seed, who.index[meter], who.kind[meter], who.scale[:, meter]),
            Service(service.phases[meter], service.nominal_v[meter], service.transformer[meter], service.ampere[meter]),
        )

    def _disturbance(self, meter: Integers, since: int, until: int, open_: Spans) -> Disturbance:
        missing = self.tampers.spans(PHASE_MISSING, meter, since, until)
        return Disturbance(
            off=self.outages.spans(meter, since, until),
            open=open_,
            low=self.tampers.spans(LOW_VOLTAGE, meter, since, until),
            over=self.tampers.spans(OVER_VOLTAGE, meter, since, until),
            missing=missing,
            missing_phase=self.tampers.phase_of(PHASE_MISSING, meter[missing.row], missing.start),
        )


def town(
    seed: int,
    divisions: Sequence[Division],
    commissioned_at: int,
    *,
    phases: int = 1,
    current_ratio: int = 1,
    voltage_ratio: int = 1,
) -> World:
    """A world of meters of one type where nothing is declared: consumers as in a town, no outages, no tampers."""
    topology = lay_out(seed, divisions)
    number = len(topology)
    sites = Sites(
        kind=archetypes_of(seed, np.arange(number)),
        phases=np.full(number, phases),
        current_ratio=np.full(number, current_ratio),
        voltage_ratio=np.full(number, voltage_ratio),
    )
    return World(seed, topology, sites, commissioned_at, OutageRates(), {})


def month_starts(since: int, until: int) -> Integers:
    """The local midnights that begin a month, in [since, until): when billing periods end."""
    first = np.datetime64(since + IST_OFFSET_S, "s").astype("datetime64[M]")
    last = np.datetime64(until + IST_OFFSET_S, "s").astype("datetime64[M]")
    every = np.arange(first, last + 1).astype("datetime64[s]").astype(np.int64) - IST_OFFSET_S
    return every[(every >= since) & (every < until)]


def _connected(seed: int, topology: Topology, sites: Sites) -> tuple[Consumers, Service]:
    index, three = np.arange(len(sites.kind)), sites.phases == 3
    behind = sites.behind_transformers == 1
    size = np.where(behind, _SHARE_OF_RATED * sites.current_ratio * sites.voltage_ratio, np.where(three, 3.0, 1.0))
    service = Service(
        phases=sites.phases,
        nominal_v=sites.nominal_v,
        transformer=topology.transformer_noise[topology.transformer],
        ampere=np.where(behind, _CT_AMPERE * sites.current_ratio, _AMPERE),
    )
    return consumers(seed, index, sites.kind, size), service


def _highest(values: Integers, ends: Integers, since: int) -> Demand:
    if not values.any():
        return Demand(0, since)
    place = int(values.argmax())
    return Demand(int(values[place]), int(ends[place]))


def _when_up(failures: Sequence[PowerFailure], at: int) -> int:
    """When a meter notices what happens at this moment: then, or once it is up again."""
    return next((one.restored_at + 1 for one in failures if one.start <= at < one.restored_at), at)


def _indexes(meters: ArrayLike) -> Integers:
    return np.atleast_1d(np.asarray(meters, np.int64))
