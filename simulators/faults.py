"""Faults by declaration: what meters do wrong, which of them, how badly.

The one rule: `FAULTS` is the list of all there are, with the figures of each and their bounds; a fault or a figure that
is not in it is an error. Which meters of a fleet have a fault is drawn from the seed, and so is each time it strikes:
the same seed, the same requests, the same faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import numpy as np

from profiles.errors import SettingsError
from profiles.type_file import Keys
from simulators.load.noise import unit

MOST_METERS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a fault: its bounds and what it is where it is not given. `moment`: a date and time."""

    least: float
    most: float
    usual: float
    moment: bool = False


def _chance(usual: float) -> Mapping[str, Figure]:
    """How often a fault strikes whom it can: at each answer, row or association."""
    return {"chance": Figure(0.0, 1.0, usual)}


_S_IN_2000: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_S_IN_2100: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()

FAULTS: Final[Mapping[str, Mapping[str, Figure]]] = MappingProxyType(
    {
        # Of the link. They strike answers.
        "never_answers": {},
        "latency": {"median_ms": Figure(0, 600_000, 500), "longest_ms": Figure(1, 600_000, 5000)},
        "loss": _chance(0.02),
        "reset": _chance(0.01),
        "half_open": _chance(0.01),
        "slow_octets": {"octets_per_s": Figure(1, 1_000_000, 120)},
        "drop_mid_block": _chance(0.1),
        # Of the protocol.
        "wrong_block_number": _chance(0.1),
        "exception_response": _chance(0.05),
        "refuse_association": _chance(0.5),
        "one_association": {"lingers_s": Figure(0, 3600, 60)},
        "counter_mismatch": {"ahead": Figure(1, 2**31, 5000)},
        "wrong_key": {},
        # Of the clock.
        "clock_drift": {"s_per_day": Figure(-3600, 3600, 20)},
        "clock_jump": {"seconds": Figure(-86_400, 86_400, 3600), "at": Figure(_S_IN_2000, _S_IN_2100, 0, moment=True)},
        # Of rows of load profiles.
        "missing_rows": _chance(0.02),
        "duplicate_rows": _chance(0.02),
        "null_rows": {},
        "rows_outside": {"rows": Figure(1, 96, 2)},
        "wild_stamps": _chance(0.02),
        "late_capture": {"longest_s": Figure(1, 86_400, 300)},
    }
)
"""A moment has no usual value: it must be given."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as it was declared: of the `meters` with these indexes, and of a share (0 to 1) of all others."""

    name: str
    figures: Mapping[str, float]
    share: float = 0.0
    meters: frozenset[int] = frozenset()

    def of(self, seed: int, meters: int) -> list[int]:
        """Which meters of a fleet have it."""
        draw = unit(seed, f"has {self.name}", np.arange(meters))
        drawn = np.flatnonzero(draw < self.share).tolist()
        return sorted({*drawn, *(index for index in self.meters if index < meters)})


def fault(name: str, *, share: float = 1.0, meters: frozenset[int] = frozenset(), **figures: float) -> Fault:
    """Declare a fault, by default of all meters. SettingsError for one that is not known, or figures out of bounds."""
    known = FAULTS.get(name)
    if known is None:
        raise SettingsError(_unknown(name))
    for key, value in figures.items():
        if key not in known:
            raise SettingsError(f"fault {name} has no figure {key!r}")
        if not known[key].least <= value <= known[key].most:
            raise SettingsError(f"{key} of fault {name} is {known[key].least:g} to {known[key].most:g}, not {value:g}")
    missing = [key for key, figure in known.items() if figure.moment and key not in figures]
    if missing or not 0.0 <= share <= 1.0:
        raise SettingsError(f"fault {name} needs {missing[0]}" if missing else f"a share is 0 to 1, not {share:g}")
    return Fault(name, MappingProxyType({key: one.usual for key, one in known.items()} | figures), share, meters)


def read_faults(keys: Keys) -> tuple[Fault, ...]:
    """From a table with a table for each fault: `share` or `meters`, and its figures. SettingsError names the key."""
    found = []
    for name, _ in keys.items():
        if name not in FAULTS:
            raise keys.wrong(name, message=_unknown(name))
        table = keys.table(name)
        figures = {key: _figure(table, key, figure) for key, figure in FAULTS[name].items()}
        meters = frozenset(_meters(table)) if "meters" in table else frozenset()
        share = table.number("share", 0.0, 1.0, 0.0 if meters else 1.0)
        table.close()
        found.append(Fault(name, MappingProxyType(figures), share, meters))
    return tuple(found)


def faults_of_meters(declared: tuple[Fault, ...], seed: int, meters: int) -> dict[int, MeterFaults]:
    """By its index, the faults of each meter that has any."""
    found: dict[int, dict[str, Mapping[str, float]]] = {}
    for one in declared:
        for index in one.of(seed, meters):
            found.setdefault(index, {})[one.name] = one.figures
    return {index: MeterFaults(seed, index, of_meter) for index, of_meter in sorted(found.items())}


class MeterFaults:
    """The faults of one meter, and how often each has struck."""

    __slots__ = ("_declared", "_drawn", "_index", "_seed", "struck")

    def __init__(self, seed: int, index: int, declared: Mapping[str, Mapping[str, float]]) -> None:
        """`declared`: figures by the fault's name."""
        self._seed = seed
        self._index = index
        self._declared = declared
        self._drawn: dict[str, int] = {}
        self.struck: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._declared

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def figure(self, name: str, key: str) -> float:
        """A figure of a fault that the meter has."""
        return self._declared[name][key]

    def strikes(self, name: str) -> bool:
        """Whether a fault strikes this time; never where the meter does not have it."""
        return name in self._declared and self.strikes_at(name, self._next(name))

    def strikes_at(self, name: str, coordinate: int) -> bool:
        """Whether a fault strikes at this place, such as the row with this stamp, each time that it is looked at."""
        if name not in self._declared:
            return False
        strikes = self.draw(name, coordinate) < self.figure(name, "chance")
        if strikes:
            self.note(name)
        return strikes

    def draw(self, name: str, coordinate: int | None = None) -> float:
        """Noise in [0, 1) for a fault: at a place, or the next."""
        place = self._next(name) if coordinate is None else coordinate
        return float(unit(self._seed, f"fault {name}", self._index, place))

    def note(self, name: str) -> None:
        """It has struck."""
        self.struck[name] = self.struck.get(name, 0) + 1

    def _next(self, name: str) -> int:
        self._drawn[name] = self._drawn.get(name, 0) + 1
        return self._drawn[name]


def _figure(table: Keys, key: str, figure: Figure) -> float:
    if not figure.moment:
        return table.number(key, figure.least, figure.most, figure.usual)
    moment = table.take(key)
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise table.wrong(key, message="must be a date and time with its offset, like 2026-01-01T00:00:00+05:30")
    return moment.timestamp()


def _meters(table: Keys) -> list[int]:
    indexes = table.take("meters")
    if not isinstance(indexes, list) or not all(type(one) is int and 0 <= one < MOST_METERS for one in indexes):
        raise table.wrong("meters", message="must be a list of indexes of meters in the fleet")
    return indexes


def _unknown(name: str) -> str:
    return f"{name[:40]!r} is no fault; there are {', '.join(FAULTS)}"
