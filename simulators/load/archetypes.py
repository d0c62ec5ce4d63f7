"""Archetypes of consumers: how much they take, hour by hour, and with what power factor.

The one rule: an archetype is only a shape of one day in the middle of its month, in watts of a middling single-phase
service. How single meters differ from it, and how one day differs from the next, stands in `curve.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from simulators.load.days import REST, SATURDAY, sun_height, sunrise, sunset
from simulators.load.noise import Floats

Shape = Callable[[Floats, int, int], Floats]
"""W at local hours (0 to 24) of a day of a month (0 to 11) and kind of day."""

_HEAT: Final = (0.0, 0.1, 0.45, 0.8, 1.0, 0.75, 0.35, 0.25, 0.35, 0.35, 0.1, 0.0)
"""How much cooling each month asks for in Madhya Pradesh: most in May, before the monsoon."""
_CLEAR: Final = (0.95, 1.0, 1.0, 1.0, 0.95, 0.7, 0.5, 0.5, 0.75, 0.95, 0.95, 0.95)
"""How much of the sun the clouds of each month leave."""


@dataclass(frozen=True, slots=True)
class Archetype:
    """A kind of consumer. `lag`: tangent of the phase angle at full load; `lead`: at the least load, where electronics
    and lamps make it capacitive. `flicker` and `mood` say how much one quarter of an hour, and one day, differ from the
    shape; `habit_h` by how many hours its meters are early or late; `spread` the range of sizes around 1."""

    take: Shape
    lag: float
    lead: float
    flicker: float
    mood: float
    habit_h: float
    spread: tuple[float, float]
    give: Shape | None = None
    """What it feeds in; None where there is no generator."""


def _plateau(hour: Floats, opens: float, closes: float) -> Floats:
    """0 outside, 1 within, with about half an hour of coming and going."""
    return 0.25 * (1.0 + np.tanh(2.0 * (hour - opens))) * (1.0 + np.tanh(2.0 * (closes - hour)))


def _bump(hour: Floats, centre: float, width: float) -> Floats:
    """A peak of height 1 around `centre`, running on past midnight."""
    distance = (hour - centre + 12.0) % 24.0 - 12.0
    return np.exp(-0.5 * (distance / width) ** 2)


def _office(hour: Floats, month: int, day: int) -> Floats:
    open_ = {SATURDAY: 0.4, REST: 0.05}.get(day, 1.0)
    at_work = _plateau(hour, 9.8, 17.8) - 0.2 * _bump(hour, 13.6, 0.5)
    return 80.0 + 1150.0 * open_ * at_work * (0.55 + 0.9 * _HEAT[month])


def _home(hour: Floats, month: int, day: int) -> Floats:
    at_home = 0.25 if day not in (SATURDAY, REST) else 0.45
    routine = 0.16 + 0.5 * _bump(hour, 7.0, 1.1) + 0.9 * _bump(hour, 20.5, 1.9) + at_home * _bump(hour, 14.0, 2.5)
    cooling = _HEAT[month] * (0.4 * _bump(hour, 23.5, 3.0) + 0.3 * _bump(hour, 15.0, 2.5))
    return 650.0 * (routine + cooling)


def _shop(hour: Floats, month: int, day: int) -> Floats:
    open_ = 0.35 if day == REST else 1.0
    trade = 0.7 * _plateau(hour, 10.5, 21.3) + 0.3 * _bump(hour, 19.5, 1.5)
    return 70.0 + 950.0 * open_ * trade * (0.7 + 0.6 * _HEAT[month])


def _street_light(hour: Floats, month: int, day: int) -> Floats:
    """Lamps burn from after sunset to before sunrise, half of them from midnight to five."""
    dark = (hour > sunset(month) + 0.3) | (hour < sunrise(month) - 0.3)
    return np.where(dark, np.where(hour < 5.0, 450.0, 900.0), 6.0)


def _pump(hour: Floats, month: int, day: int) -> Floats:
    """Irrigation runs in the hours in which its feeder is fed, mostly for the winter crop."""
    wanted = (0.9, 0.8, 0.5, 0.3, 0.2, 0.15, 0.05, 0.05, 0.15, 0.5, 0.9, 1.0)[month]
    fed = ((hour > 9.0) & (hour < 15.0)) | (hour > 22.0) | (hour < 2.0)
    return np.where(fed, 2600.0 * wanted, 0.0) + 4.0


def _industry(hour: Floats, month: int, day: int) -> Floats:
    """A workshop with a day shift and a smaller evening shift."""
    shifts = _plateau(hour, 8.0, 17.5) - 0.25 * _bump(hour, 13.0, 0.5) + 0.45 * _plateau(hour, 17.5, 22.0)
    return 150.0 + {REST: 0.1, SATURDAY: 0.8}.get(day, 1.0) * 2100.0 * shifts * (0.9 + 0.2 * _HEAT[month])


def _sun(hour: Floats, month: int) -> Floats:
    return 2600.0 * _CLEAR[month] * sun_height(hour, month) ** 1.3


def _solar_take(hour: Floats, month: int, day: int) -> Floats:
    """What is left to be bought: clouds and kettles turn the flow within any quarter of an hour."""
    wanted, made = _home(hour, month, day), _sun(hour, month)
    return np.maximum(wanted - made, 0.0) + 0.08 * np.minimum(wanted, made)


def _solar_give(hour: Floats, month: int, day: int) -> Floats:
    wanted, made = _home(hour, month, day), _sun(hour, month)
    return np.maximum(made - wanted, 0.0) + 0.08 * np.minimum(wanted, made)


ARCHETYPES: Final[Mapping[str, Archetype]] = MappingProxyType(
    {
        "office": Archetype(_office, 0.45, 0.25, flicker=0.25, mood=0.15, habit_h=0.6, spread=(0.4, 2.6)),
        "home": Archetype(_home, 0.5, 0.2, flicker=0.4, mood=0.25, habit_h=0.9, spread=(0.3, 3.0)),
        "shop": Archetype(_shop, 0.4, 0.3, flicker=0.3, mood=0.2, habit_h=0.7, spread=(0.4, 2.8)),
        "street_light": Archetype(_street_light, 0.35, 0.3, flicker=0.02, mood=0.01, habit_h=0.1, spread=(0.4, 3.0)),
        "pump": Archetype(_pump, 0.75, 0.0, flicker=0.05, mood=0.3, habit_h=0.2, spread=(0.7, 2.5)),
        "rooftop_solar": Archetype(
            _solar_take, 0.5, 0.2, flicker=0.4, mood=0.2, habit_h=0.1, spread=(0.5, 2.0), give=_solar_give
        ),
        "industry": Archetype(_industry, 0.6, 0.15, flicker=0.2, mood=0.15, habit_h=0.5, spread=(0.5, 1.8)),
    }
)
"""By name; the order is that of their numbers."""
