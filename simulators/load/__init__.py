"""The physical load behind each simulated meter: what really flows, before any register rounds it.

The one rule: everything here is a pure function of (seed, meter, time). No state, no random generator; any slice of
meters and slots, asked for in any order, gives the same numbers. Times are seconds since 1970 UTC.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from simulators.load.archetypes import ARCHETYPES
from simulators.load.curve import Consumers, consumers, kind_number
from simulators.load.days import IST_OFFSET_S
from simulators.load.intervals import Disturbance, Load, Service, energies, measured
from simulators.load.noise import Floats, Integers, choose, unit

__all__ = [
    "ARCHETYPES",
    "IST_OFFSET_S",
    "Consumers",
    "Disturbance",
    "Floats",
    "Integers",
    "Load",
    "Service",
    "archetypes_of",
    "consumers",
    "energies",
    "kind_number",
    "load",
    "measured",
]

TOWN_SHARES = {"office": 0.55, "home": 0.2, "shop": 0.13, "rooftop_solar": 0.12}
"""The first meters of a roll-out hang in government offices, so most are offices."""
_NOMINAL_V, _AMPERE, _NEIGHBOURS = 230.0, 30.0, 40


def load(seed: int, meters: ArrayLike, starts: ArrayLike, period_s: int) -> Load:
    """The load of single-phase `meters` (indexes in the fleet), never without supply, over the intervals
    [start, start + period_s) for each of `starts`, in any order."""
    meter = np.atleast_1d(np.asarray(meters, np.int64))
    who = consumers(seed, meter, archetypes_of(seed, meter), 1.0)
    service = Service(
        phases=np.ones(len(meter), np.int64),
        nominal_v=np.full(len(meter), _NOMINAL_V),
        transformer=meter // _NEIGHBOURS,
        ampere=np.full(len(meter), _AMPERE),
    )
    return measured(who, service, np.atleast_1d(np.asarray(starts, np.int64)), period_s, Disturbance.none())


def archetypes_of(seed: int, meters: ArrayLike) -> Integers:
    """The number of the archetype of each of `meters` in a fleet that declares none."""
    kinds = np.array([kind_number(name) for name in TOWN_SHARES], np.int64)
    return kinds[choose(unit(seed, "archetype", np.atleast_1d(meters)), list(TOWN_SHARES.values()))]
