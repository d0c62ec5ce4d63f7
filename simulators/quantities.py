"""What the columns of profiles measure: a captured object as a quantity of the world or of the meter's own life.

The one rule: what an OBIS code means is said here and nowhere else in the simulator. A code that is not known here is
counted as 0, so that every meter type can be simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from profiles.objects import CaptureObject, Obis


class Measure(Enum):
    """How a quantity comes about."""

    INTERVAL = auto()
    """Of the interval that ends with the row: an average, or what flowed in it. `channel` is one of `world.Load`."""
    TOTAL = auto()
    """A cumulative register: `channel` is one of `world.Registers`, `rate` 0 or 1 to 8."""
    DEMAND = auto()
    """The highest demand of the billing period so far, of a channel of `world.Registers`, by rate."""
    DEMAND_TIME = auto()
    """When that was."""
    BILLING_FACTOR = auto()
    """The average power factor of the billing period so far."""
    BILLING_ON_MINUTES = auto()
    ON_MINUTES = auto()
    OFF_MINUTES = auto()
    """With and without supply: in the billing period so far, and since commissioning."""
    FAILURES = auto()
    TAMPERS = auto()
    BILLINGS = auto()
    PROGRAMMINGS = auto()
    """How often: without supply, tampered with, billed, set by clients."""
    TIME = auto()
    """The row's own."""
    EVENT_CODE = auto()
    EVENT_NUMBER = auto()
    """Of a log's entry: what happened, and how many entries there were with it."""
    SWITCH = auto()
    """Whether the load switch is closed."""
    LIMIT = auto()
    """The active threshold of a limiter, in W."""
    CONSTANT = auto()
    """Always the same, `rate` whole units."""


class Sort(Enum):
    """What makers give a register of its own size and resolution."""

    VOLT = auto()
    AMPERE = auto()
    FACTOR = auto()
    HERTZ = auto()
    POWER = auto()
    BLOCK_ENERGY = auto()
    ENERGY = auto()
    DEMAND = auto()
    MINUTE = auto()
    DEGREE = auto()
    COUNT = auto()
    OCTET = auto()
    SIGNED_OCTET = auto()
    TIME = auto()
    SWITCH = auto()


@dataclass(frozen=True, slots=True)
class Quantity:
    """What one column says."""

    measure: Measure
    sort: Sort
    channel: str = ""
    rate: int = 0


NOTHING: Final = Quantity(Measure.CONSTANT, Sort.COUNT)

_FLOWS: Final = {
    1: "wh_import",
    2: "wh_export",
    5: "varh_q1",
    6: "varh_q2",
    7: "varh_q3",
    8: "varh_q4",
    9: "vah_import",
    10: "vah_export",
}
"""By value group C."""
_AVERAGES: Final = {
    11: ("current", Sort.AMPERE),
    12: ("voltage", Sort.VOLT),
    91: ("neutral_current", Sort.AMPERE),
    **{31 + 20 * n: (f"current_l{n + 1}", Sort.AMPERE) for n in range(3)},
    **{32 + 20 * n: (f"voltage_l{n + 1}", Sort.VOLT) for n in range(3)},
    13: ("power_factor", Sort.FACTOR),
    14: ("frequency", Sort.HERTZ),
    **{33 + 20 * n: (f"power_factor_l{n + 1}", Sort.FACTOR) for n in range(3)},
}
_POWERS: Final = {
    (1, 27): "w_import",
    (1, 7): "w_instant",
    (9, 7): "va_instant",
    (2, 7): "w_export",
    (3, 7): "var_instant",
}
_ANGLES: Final = {1: 120, 12: 120, 2: 240}
"""Between the voltages of two phases, by value group E of 1.0.81.7."""
_PRESENT, _AVERAGE, _BLOCK, _TOTAL, _MAXIMUM = 7, 27, 29, 8, 6
"""Value group D."""
_SINGLE: Final = {
    Obis(1, 0, 13, 0, 0): Quantity(Measure.BILLING_FACTOR, Sort.FACTOR),
    Obis(1, 0, 94, 91, 14): Quantity(Measure.INTERVAL, Sort.AMPERE, "current"),
    Obis(1, 0, 94, 91, 214): Quantity(Measure.INTERVAL, Sort.AMPERE, "current"),
    Obis(1, 0, 94, 91, 13): Quantity(Measure.BILLING_ON_MINUTES, Sort.MINUTE),
    Obis(0, 0, 94, 91, 13): Quantity(Measure.BILLING_ON_MINUTES, Sort.MINUTE),
    Obis(0, 0, 94, 91, 14): Quantity(Measure.ON_MINUTES, Sort.MINUTE),
    Obis(0, 0, 94, 91, 8): Quantity(Measure.OFF_MINUTES, Sort.MINUTE),
    Obis(0, 0, 96, 7, 0): Quantity(Measure.FAILURES, Sort.COUNT),
    Obis(0, 0, 94, 91, 0): Quantity(Measure.TAMPERS, Sort.COUNT),
    Obis(0, 0, 96, 15, 128): Quantity(Measure.TAMPERS, Sort.COUNT),
    Obis(0, 0, 0, 1, 0): Quantity(Measure.BILLINGS, Sort.COUNT),
    Obis(0, 0, 96, 2, 0): Quantity(Measure.PROGRAMMINGS, Sort.COUNT),
    Obis(0, 0, 0, 1, 2): Quantity(Measure.TIME, Sort.TIME),
    Obis(0, 0, 96, 10, 1): Quantity(Measure.INTERVAL, Sort.OCTET, "meter_health"),
    Obis(0, 0, 96, 10, 2): Quantity(Measure.INTERVAL, Sort.OCTET, "meter_health"),
    Obis(0, 1, 96, 12, 5): Quantity(Measure.INTERVAL, Sort.SIGNED_OCTET, "signal_strength"),
    Obis(1, 0, 96, 5, 0): Quantity(Measure.CONSTANT, Sort.OCTET),
    Obis(0, 0, 96, 50, 9): Quantity(Measure.CONSTANT, Sort.OCTET, rate=1),
}
_CLOCK, _SWITCH, _LIMITER, _EXTENDED_REGISTER = 8, 70, 71, 4
_CAPTURE_TIME: Final = 5
_EVENT_CODE, _EVENT_NUMBER = 11, 15
"""Value group D of 0.0.96."""
_RATES: Final = 8


@lru_cache(maxsize=4096)
def quantity_of(captured: CaptureObject) -> Quantity:
    """What a captured object measures."""
    obis = captured.obis
    if captured.class_id == _CLOCK:
        return Quantity(Measure.TIME, Sort.TIME)
    if captured.class_id == _SWITCH:
        return Quantity(Measure.SWITCH, Sort.SWITCH)
    if captured.class_id == _LIMITER:
        return Quantity(Measure.LIMIT, Sort.POWER)
    if obis in _SINGLE:
        return _SINGLE[obis]
    if obis[:3] == (0, 0, 96) and obis.d in (_EVENT_CODE, _EVENT_NUMBER):
        code = obis.d == _EVENT_CODE
        return Quantity(Measure.EVENT_CODE if code else Measure.EVENT_NUMBER, Sort.COUNT)
    return _electric(captured) if obis.a == 1 else NOTHING


def _electric(captured: CaptureObject) -> Quantity:
    """Of electricity, by value groups C, D and E."""
    _, _, c, d, e, _ = captured.obis
    if (c, d) in _POWERS:
        return Quantity(Measure.INTERVAL, Sort.POWER, _POWERS[c, d])
    if c in _AVERAGES and d in (_PRESENT, _AVERAGE):
        channel, sort = _AVERAGES[c]
        return Quantity(Measure.INTERVAL, sort, channel)
    if (c, d) == (81, _PRESENT):
        return Quantity(Measure.CONSTANT, Sort.DEGREE, rate=_ANGLES.get(e, 0))
    if c not in _FLOWS or e > _RATES:
        return NOTHING
    if d == _BLOCK:
        return Quantity(Measure.INTERVAL, Sort.BLOCK_ENERGY, _FLOWS[c])
    if d == _TOTAL:
        return Quantity(Measure.TOTAL, Sort.ENERGY, _FLOWS[c], e)
    if d == _MAXIMUM:
        timed = (captured.class_id, captured.attribute) == (_EXTENDED_REGISTER, _CAPTURE_TIME)
        return Quantity(
            Measure.DEMAND_TIME if timed else Measure.DEMAND, Sort.TIME if timed else Sort.DEMAND, _FLOWS[c], e
        )
    return NOTHING
