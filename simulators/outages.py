"""Outages: when a meter is without supply, by the fault of its feeder, its transformer or its own service line.

The one rule: an outage is known from the seed and its time alone. Declared ones, of any level of the grid, come on top;
what overlaps is one outage to the meter, since it sees no more than that its supply is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from profiles.errors import SettingsError
from simulators.load.noise import Integers, unit
from simulators.spans import Rate, Spans, drawn, joined, whole
from simulators.topology import Topology

Level = Literal["division", "feeder", "transformer", "meter"]
LEVELS: Final[tuple[Level, ...]] = ("division", "feeder", "transformer", "meter")

NEVER: Final = Rate(0.0, 60.0, 3600.0)


@dataclass(frozen=True, slots=True)
class DeclaredOutage:
    """An outage that is written down: of the node of this name, from `start` to `end` (seconds since 1970 UTC).

    A meter's name is its index in the fleet.
    """

    level: Level
    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class OutageRates:
    """How often each level of the grid fails of itself."""

    feeder: Rate = NEVER
    transformer: Rate = NEVER
    meter: Rate = NEVER
    declared: tuple[DeclaredOutage, ...] = ()


_REBOOT_S: Final = 30
"""Supply for no longer than this does not bring a meter up: what lies around it is one outage."""
_LONGEST_JOIN_S: Final = 3600


@dataclass(frozen=True, slots=True)
class PowerFailure:
    """One outage as a meter lives through it; whole seconds since 1970 UTC, by true time.

    `failed_at` and `restored_at` are when the meter itself notices (events 101 and 102); `last_gasp_at` when its module
    sends event status word bit 85, `first_breath_at` when it is back in the network and sends bit 86.
    """

    start: int
    end: int
    failed_at: int
    last_gasp_at: int
    restored_at: int
    first_breath_at: int | None
    """None where the supply is gone again before."""


class Outages:
    """The outages of a fleet on its grid."""

    def __init__(self, seed: int, topology: Topology, rates: OutageRates) -> None:
        """SettingsError for a declared outage of a node that is not there."""
        self._seed = seed
        self._topology = topology
        self._rates = rates
        self._declared = [(_members(topology, one), one) for one in rates.declared]

    def spans(self, meters: ArrayLike, since: int, until: int) -> Spans:
        """The outages that overlap [since, until), whole and merged; rows are places in `meters`."""
        meter = np.atleast_1d(np.asarray(meters, np.int64))
        return whole(lambda first, last: self._drawn(meter, first, last), since, until, _REBOOT_S)

    def of_meter(self, meter: int, since: int, until: int) -> list[PowerFailure]:
        """The outages of one meter that overlap [since, until), as it lives through them."""
        spans = self.spans([meter], since, until + _LONGEST_JOIN_S)
        draws = [unit(self._seed, purpose, meter, spans.start) for purpose in ("gasp", "boot", "join")]
        gasp, boot, join = ((draw * most).astype(np.int64) for draw, most in zip(draws, (4, 5, 160), strict=True))
        restored = spans.end + 2 + boot
        joined_ = restored + 20 + join
        again = np.append(spans.start, np.iinfo(np.int64).max)[1:]
        rows = zip(*(a.tolist() for a in (spans.start, spans.end, gasp, restored, joined_, again)), strict=True)
        return [
            PowerFailure(start, end, start + 1, start + 1 + late, back, breath if breath < next_ else None)
            for start, end, late, back, breath, next_ in rows
            if start < until
        ]

    def _drawn(self, meter: Integers, since: int, until: int) -> Spans:
        grid, rates = self._topology, self._rates
        return joined(
            self._of_nodes("feeder", grid.feeder_noise, grid.feeder[meter], rates.feeder, since, until),
            self._of_nodes(
                "transformer", grid.transformer_noise, grid.transformer[meter], rates.transformer, since, until
            ),
            drawn(self._seed, "meter outage", meter, rates.meter, since, until),
            *(_declared(meter, members, one).within(since, until) for members, one in self._declared),
        )

    def _of_nodes(self, level: Level, noise: ArrayLike, place: Integers, rate: Rate, since: int, until: int) -> Spans:
        nodes, member = np.unique(place, return_inverse=True)
        of_nodes = drawn(self._seed, f"{level} outage", np.asarray(noise)[nodes], rate, since, until)
        return of_nodes.of_members(member)


def _declared(meter: Integers, members: Integers, one: DeclaredOutage) -> Spans:
    row = np.flatnonzero(np.isin(meter, members)).astype(np.int64)
    return Spans(row, np.full(len(row), one.start, np.int64), np.full(len(row), one.end, np.int64))


def has_node(grid: Topology, one: DeclaredOutage) -> bool:
    """Whether the node that a declared outage names is on the grid."""
    if one.level == "meter":
        return one.name.isdecimal() and int(one.name) < len(grid)
    return one.name in _nodes(grid, one.level)[0]


def _members(grid: Topology, one: DeclaredOutage) -> Integers:
    """The meters below the node that a declared outage names."""
    if one.level == "meter":
        if not has_node(grid, one):
            raise SettingsError(f"an outage is declared for meter {one.name}, and meters are 0 to {len(grid) - 1}")
        return np.array([int(one.name)], np.int64)
    names, place = _nodes(grid, one.level)
    if one.name not in names:
        raise SettingsError(f"an outage is declared for the {one.level} {one.name}, which is not on the grid")
    return np.flatnonzero(place == names.index(one.name)).astype(np.int64)


def _nodes(grid: Topology, level: Level) -> tuple[list[str], Integers]:
    """The names of the nodes of one level, and for each meter the place of its own."""
    return {
        "division": ([node.name for node in grid.divisions], grid.division),
        "feeder": ([node.name for node in grid.feeders], grid.feeder),
        "transformer": ([node.name for node in grid.transformers], grid.transformer),
    }[level]
