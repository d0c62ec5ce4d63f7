"""Tampers and bad supply: what is done to a meter, or to the voltage of its transformer, from when to when.

The one rule: which sorts there are, whom they can befall and what events they are stands in `TAMPERS`; how often, in
the fleet file. Low and over voltage and a missing phase show in the voltages (and currents) of the load; the others are
events alone: a meter counts energy forwards whatever is done to it.
Codes are those of profiles/events/events.csv.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from profiles.events import partner
from simulators.load.noise import Integers, unit
from simulators.spans import Rate, Spans, drawn, whole
from simulators.topology import Topology

LOW_VOLTAGE: Final = "low_voltage"
OVER_VOLTAGE: Final = "over_voltage"
PHASE_MISSING: Final = "phase_missing"


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of tamper. `codes`: its event of occurrence, one for all phases or one for each; `phases`: meters of how
    many phases it befalls; `transformers`: only those behind current transformers; `shared`: whole transformers."""

    codes: tuple[int, ...]
    phases: tuple[int, ...] = (1, 3)
    transformers: bool = False
    shared: bool = False
    noticed_after_s: int = 60
    """How long it must last until the meter makes an event of it, and be over until it makes one of that."""


TAMPERS: Final[Mapping[str, Sort]] = MappingProxyType(
    {
        LOW_VOLTAGE: Sort((9,), shared=True),
        OVER_VOLTAGE: Sort((7,), shared=True),
        PHASE_MISSING: Sort((1, 3, 5), phases=(3,)),
        "voltage_unbalance": Sort((11,), phases=(3,)),
        "current_reversed": Sort((51, 53, 55)),
        "ct_open": Sort((57, 59, 61), phases=(3,), transformers=True),
        "current_unbalance": Sort((63,), phases=(3,)),
        "current_bypass": Sort((65,)),
        "over_current": Sort((67,)),
        "earth_loading": Sort((69,), phases=(1,)),
        "magnet": Sort((201,)),
        "neutral_disturbance": Sort((203,)),
        "low_power_factor": Sort((205,)),
        "neutral_missing": Sort((207,), phases=(1,)),
        "module_removed": Sort((209,)),
        "overload": Sort((215,)),
        "cover_open": Sort((251,), noticed_after_s=0),
    }
)


@dataclass(frozen=True, slots=True)
class Tamper:
    """One tamper as a meter sees it; whole seconds since 1970 UTC. `phase`: 0 to 2 where it is of one phase.

    `code` is the event of its occurrence, at `occurred_at`; `restoration` that of its end, None where it has none.
    """

    sort: str
    phase: int
    start: int
    end: int
    code: int
    restoration: int | None
    occurred_at: int
    restored_at: int


class Tampers:
    """The tampers of a fleet: `phases` and `behind_transformers` by meter index."""

    def __init__(
        self,
        seed: int,
        topology: Topology,
        phases: Integers,
        behind_transformers: ArrayLike,
        rates: Mapping[str, Rate],
    ) -> None:
        """`rates`: by name of `TAMPERS`; those that are not named don't happen."""
        self._seed = seed
        self._topology = topology
        self._phases = phases
        self._behind = np.asarray(behind_transformers, bool)
        self._rates = rates

    def spans(self, sort: str, meters: ArrayLike, since: int, until: int) -> Spans:
        """The tampers of one sort that overlap [since, until), whole and merged; rows are places in `meters`."""
        meter, rate, what = np.atleast_1d(np.asarray(meters, np.int64)), self._rates.get(sort), TAMPERS[sort]
        if rate is None:
            return Spans.none()
        befalls = np.isin(self._phases[meter], what.phases) & (self._behind[meter] | (not what.transformers))
        some = np.flatnonzero(befalls).astype(np.int64)
        if what.shared:
            nodes, member = np.unique(self._topology.transformer[meter[some]], return_inverse=True)
            of_nodes = self._drawn(sort, self._topology.transformer_noise[nodes], rate, since, until)
            found = of_nodes.of_members(member)
        else:
            found = self._drawn(sort, meter[some], rate, since, until)
        return Spans(some[found.row], found.start, found.end)

    def phase_of(self, sort: str, meters: ArrayLike, starts: ArrayLike) -> Integers:
        """The phase, 0 to 2, of a meter's tamper of this sort that begins at `start`; 0 for a sort of no phase."""
        codes, meter = len(TAMPERS[sort].codes), np.asarray(meters, np.int64)
        phase = (unit(self._seed, f"{sort} phase", meter, starts) * codes).astype(np.int64)
        return np.where(self._phases[meter] == 1, 0, phase)

    def of_meter(self, meter: int, since: int, until: int) -> list[Tamper]:
        """All tampers of one meter that overlap [since, until), by their start."""
        found: list[Tamper] = []
        for sort, what in TAMPERS.items():
            spans = self.spans(sort, [meter], since, until)
            phases = self.phase_of(sort, np.full(len(spans), meter), spans.start)
            for start, end, phase in zip(spans.start.tolist(), spans.end.tolist(), phases.tolist(), strict=True):
                code, after = what.codes[phase], what.noticed_after_s
                ended = partner(code)
                restoration = None if ended is None else ended.id
                found.append(Tamper(sort, phase, start, end, code, restoration, start + after, end + after))
        return sorted(found, key=lambda one: (one.start, one.code))

    def _drawn(self, sort: str, nodes: ArrayLike, rate: Rate, since: int, until: int) -> Spans:
        return whole(lambda first, last: drawn(self._seed, sort, nodes, rate, first, last), since, until)
