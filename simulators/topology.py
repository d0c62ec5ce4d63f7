"""The grid above the meters: division, feeder, distribution transformer, and the phase of a single-phase meter.

The one rule: what a meter hangs on is a function of its place in its division, so neighbours in the meter list are
neighbours on the grid; a node's noise comes from its name, so that it stays the same when others are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from profiles.errors import SettingsError
from simulators.load.noise import Hashes, Integers, name_coordinate, unit

PHASES: Final = ("R", "Y", "B")


@dataclass(frozen=True, slots=True)
class Division:
    """`meters` connections; `feeders`: the names of its feeders, none for as many as its transformers ask for."""

    name: str
    meters: int
    feeders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A feeder or a transformer. `parent`: place of the division of a feeder, of the feeder of a transformer."""

    name: str
    parent: int


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """All nodes, and for each meter of the fleet where it hangs; arrays by meter index."""

    divisions: tuple[Division, ...]
    feeders: tuple[Node, ...]
    transformers: tuple[Node, ...]
    transformer: Integers
    """Place of its transformer."""
    phase: Integers
    """0 to 2 for R, Y, B: where a single-phase meter is connected."""
    transformer_feeder: Integers
    """Place of each transformer's feeder."""
    feeder_division: Integers
    """Place of each feeder's division."""
    feeder_noise: Hashes
    transformer_noise: Hashes

    def __len__(self) -> int:
        return len(self.transformer)

    @property
    def feeder(self) -> Integers:
        """Place of each meter's feeder."""
        return self.transformer_feeder[self.transformer]

    @property
    def division(self) -> Integers:
        """Place of each meter's division."""
        return self.feeder_division[self.feeder]

    def path(self, meter: int) -> tuple[str, str, str, str]:
        """Names of division, feeder and transformer, and the phase's letter."""
        transformer = self.transformers[self.transformer[meter]]
        feeder = self.feeders[transformer.parent]
        return self.divisions[feeder.parent].name, feeder.name, transformer.name, PHASES[self.phase[meter]]


def lay_out(
    seed: int,
    divisions: Sequence[Division],
    *,
    meters_per_transformer: int = 40,
    transformers_per_feeder: int = 8,
) -> Topology:
    """The grid of `divisions`, whose meters come in their order. SettingsError for feeders of one name."""
    feeders: list[Node] = []
    transformers: list[Node] = []
    hung: list[Integers] = []
    for place, division in enumerate(divisions):
        number = -(-division.meters // meters_per_transformer)
        names = division.feeders or tuple(
            f"{division.name} F{feeder:02d}" for feeder in range(1, -(-number // transformers_per_feeder) + 1)
        )
        first_feeder, first = len(feeders), len(transformers)
        feeders += [Node(name, place) for name in names]
        for nth in range(number):
            feeder = first_feeder + nth * len(names) // number
            transformers.append(Node(f"{feeders[feeder].name} T{nth + 1:03d}", feeder))
        hung.append(first + np.arange(division.meters) * number // max(division.meters, 1))
    _check_names([feeder.name for feeder in feeders])
    transformer = np.concatenate(hung).astype(np.int64) if hung else np.zeros(0, np.int64)
    return Topology(
        tuple(divisions),
        tuple(feeders),
        tuple(transformers),
        transformer,
        (unit(seed, "phase", np.arange(len(transformer))) * 3).astype(np.int64),
        np.array([node.parent for node in transformers], np.int64),
        np.array([node.parent for node in feeders], np.int64),
        _noise(feeders),
        _noise(transformers),
    )


def divisions_of(meters: Mapping[str, int]) -> tuple[Division, ...]:
    """Divisions by their numbers of meters, without names for their feeders."""
    return tuple(Division(name, number) for name, number in meters.items())


def _check_names(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SettingsError(f"two feeders have the name {name}", remedy="name each feeder of the fleet differently")
        seen.add(name)


def _noise(nodes: Sequence[Node]) -> Hashes:
    return np.array([name_coordinate(node.name) for node in nodes], np.uint64)
