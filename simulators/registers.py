"""What the makers' meters make of the world: their registers, resolutions, column orders.

The one rule: a physical value becomes a register count in `counts`, and nowhere else. Two makers differ in every
scaler, in the size of their registers and in the order of blocks, so that no error of a factor of ten, or of position,
goes unseen. What a type's file says of a scaler holds for both. Resolutions are those seen on Indian meters
(docs/meter-facts.md, "Data types and scalers").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import axdr
from profiles.meter_type import VALUE, Column, MeterType, Profile, ProfileKind
from profiles.objects import AttributeRef, CaptureObject, Obis
from simulators.load.noise import Integers
from simulators.quantities import Measure, Quantity, Sort, quantity_of

_RANGES: Final[Mapping[int, tuple[str, int, int]]] = {
    axdr.BOOLEAN: ("u1", 0, 1),
    axdr.DOUBLE_LONG: (">i4", -(2**31), 2**31 - 1),
    axdr.DOUBLE_LONG_UNSIGNED: (">u4", 0, 2**32 - 1),
    axdr.INTEGER: ("i1", -128, 127),
    axdr.LONG: (">i2", -(2**15), 2**15 - 1),
    axdr.UNSIGNED: ("u1", 0, 255),
    axdr.LONG_UNSIGNED: (">u2", 0, 65_535),
}
"""A-XDR types of numbers (Blue Book, common data types): numpy form, least and largest value."""

VOLT, AMPERE, WATT, VOLT_AMPERE, VAR, WATT_HOUR, VOLT_AMPERE_HOUR, VAR_HOUR = 35, 33, 27, 28, 29, 30, 31, 32
HERTZ, MINUTE, DEGREE, NO_UNIT = 44, 6, 8, 255
"""Units of the Blue Book's enumeration."""
_UNITS: Final = {
    Sort.VOLT: VOLT,
    Sort.AMPERE: AMPERE,
    Sort.HERTZ: HERTZ,
    Sort.POWER: WATT,
    Sort.MINUTE: MINUTE,
    Sort.DEGREE: DEGREE,
}
_UNITS_OF_FLOWS: Final = {
    "wh": (WATT_HOUR, WATT),
    "vah": (VOLT_AMPERE_HOUR, VOLT_AMPERE),
    "varh": (VAR_HOUR, VAR),
}
"""Of energy and demand, by the first part of the channel's name."""


@dataclass(frozen=True, slots=True)
class Register:
    """One column as a meter has it: the object, what it measures, its A-XDR type, scaler and unit.

    A column without a scaler (class 1) has None for both. `power`: ten's power of one count; it is not the scaler where
    the meter is known to state that wrongly.
    """

    captured: CaptureObject
    quantity: Quantity
    tag: int
    scaler: int | None = None
    unit: int | None = None
    power: int = 0

    @property
    def dtype(self) -> str:
        """The numpy type of its A-XDR value."""
        return _RANGES[self.tag][0]

    @property
    def is_time(self) -> bool:
        """Whether it is a date-time."""
        return self.quantity.sort is Sort.TIME


@dataclass(frozen=True, slots=True, eq=False)
class Maker:
    """One maker of meters: FLAG id, name, firmware, largest APDU; A-XDR type and scaler of each sort of register.

    `averages_first`: its blocks list averages before energies, and energies by their codes. `without`: what it does not
    have of what is not on every meter.
    """

    flag: str
    name: str
    firmware: str
    max_pdu: int
    steps: Mapping[Sort, tuple[int, int]]
    averages_first: bool = False
    without: frozenset[Obis] = frozenset()

    def step(self, sort: Sort) -> tuple[int, int]:
        """A-XDR type and scaler."""
        return self.steps.get(sort) or _STEPS[sort]


_STEPS: Final[Mapping[Sort, tuple[int, int]]] = {
    Sort.MINUTE: (axdr.DOUBLE_LONG_UNSIGNED, 0),
    Sort.COUNT: (axdr.LONG_UNSIGNED, 0),
    Sort.OCTET: (axdr.UNSIGNED, 0),
    Sort.SIGNED_OCTET: (axdr.INTEGER, 0),
    Sort.TIME: (axdr.OCTET_STRING, 0),
    Sort.SWITCH: (axdr.BOOLEAN, 0),
}
"""In which makers agree."""

MAKERS: Final = (
    Maker(
        "SMA",
        "Satpura Meters",
        "SM1P-2.04",
        1024,
        {
            Sort.VOLT: (axdr.LONG_UNSIGNED, -2),
            Sort.AMPERE: (axdr.LONG_UNSIGNED, -3),
            Sort.FACTOR: (axdr.LONG, -2),
            Sort.HERTZ: (axdr.LONG_UNSIGNED, -2),
            Sort.POWER: (axdr.DOUBLE_LONG, -1),
            Sort.BLOCK_ENERGY: (axdr.DOUBLE_LONG_UNSIGNED, 0),
            Sort.ENERGY: (axdr.DOUBLE_LONG_UNSIGNED, 0),
            Sort.DEMAND: (axdr.DOUBLE_LONG_UNSIGNED, 0),
            Sort.DEGREE: (axdr.LONG_UNSIGNED, -2),
        },
    ),
    Maker(
        "NRB",
        "Narmada Electric",
        "NE-110",
        560,
        {
            Sort.VOLT: (axdr.LONG_UNSIGNED, -1),
            Sort.AMPERE: (axdr.LONG_UNSIGNED, -2),
            Sort.FACTOR: (axdr.LONG_UNSIGNED, -3),
            Sort.HERTZ: (axdr.LONG_UNSIGNED, -1),
            Sort.POWER: (axdr.DOUBLE_LONG, 0),
            Sort.BLOCK_ENERGY: (axdr.DOUBLE_LONG, 1),
            Sort.ENERGY: (axdr.DOUBLE_LONG, 1),
            Sort.DEMAND: (axdr.DOUBLE_LONG, 1),
            Sort.DEGREE: (axdr.LONG_UNSIGNED, -1),
        },
        averages_first=True,
        without=frozenset({Obis(0, 1, 96, 12, 5)}),
    ),
)

_CLOCK: Final = Column(CaptureObject(8, Obis(0, 0, 1, 0, 0), 2), date_time=True)
_LEARNT: Final[Mapping[ProfileKind, tuple[tuple[int, Obis], ...]]] = {
    "block_load": ((3, Obis(1, 0, 1, 8, 0)), (3, Obis(1, 0, 2, 8, 0))),
    "daily_load": ((3, Obis(1, 0, 1, 8, 0)), (3, Obis(1, 0, 2, 8, 0))),
    "billing": ((3, Obis(1, 0, 1, 8, 0)), (3, Obis(1, 0, 2, 8, 0)), (4, Obis(1, 0, 1, 6, 0))),
    "instantaneous": ((3, Obis(1, 0, 32, 7, 0)), (3, Obis(1, 0, 31, 7, 0)), (3, Obis(1, 0, 1, 7, 0))),
}
"""What profiles capture, after the clock, of which the type says nothing; of events: clock, code, number."""
_WIDE: Final[Mapping[int, int]] = {axdr.LONG_UNSIGNED: axdr.DOUBLE_LONG_UNSIGNED}
"""Behind current transformers currents need more room."""


class Columns:
    """The columns of all profiles of one meter type, by maker: made once for all its meters."""

    def __init__(self, meter_type: MeterType) -> None:
        self._meter_type = meter_type
        self._profiles: dict[tuple[str, str], tuple[Register, ...]] = {}
        self._objects: dict[str, dict[tuple[Obis, int], Register]] = {}

    def of(self, profile: Profile, maker: Maker) -> tuple[Register, ...]:
        """Those of a profile."""
        found = self._profiles.get((profile.name, maker.flag))
        if found is None:
            found = self._profiles[profile.name, maker.flag] = registers_of(self._meter_type, profile, maker)
        return found

    def of_object(self, obis: Obis, attribute: int, maker: Maker) -> Register | None:
        """The object's own, as the first profile that captures it has it; None where none does."""
        known = self._objects.get(maker.flag)
        if known is None:
            known = self._objects[maker.flag] = {}
            for profile in self._meter_type.profiles.values():
                for register in self.of(profile, maker):
                    known.setdefault((register.captured.obis, register.captured.attribute), register)
        return known.get((obis, attribute))


def counts(register: Register, physical: NDArray[Any]) -> Integers:
    """What the register holds of physical values (SI units): rounded to its resolution, held in its range."""
    _, least, largest = _RANGES[register.tag]
    steps = physical / 10.0**register.power
    return np.clip(np.rint(steps), least, largest).astype(np.int64)


def maker_of(meter: int) -> Maker:
    """The maker of the meter with this index in its fleet: they alternate, so that any two neighbours differ."""
    return MAKERS[meter % len(MAKERS)]


def registers_of(meter_type: MeterType, profile: Profile, maker: Maker) -> tuple[Register, ...]:
    """The columns of a profile as this maker's meters of the type have them."""
    columns = [one for one in profile.columns or _learnt(profile) if one.captured.obis not in maker.without]
    if maker.averages_first and profile.kind == "block_load":
        columns.sort(key=lambda column: _place(column.captured))
    return tuple(register_of(meter_type, column, maker, profile.corrections) for column in columns)


def register_of(
    meter_type: MeterType, column: Column, maker: Maker, corrections: Mapping[AttributeRef, int]
) -> Register:
    """One column of a profile or a push."""
    captured, quantity = column.captured, quantity_of(column.captured)
    tag, scaler = maker.step(quantity.sort)
    if quantity.sort is Sort.AMPERE and meter_type.ratios is not None:
        tag = _WIDE.get(tag, tag)
    if not column.scaled:
        return Register(captured, quantity, tag, power=scaler if quantity.measure is Measure.LIMIT else 0)
    scaler = scaler if column.scaler is None else column.scaler
    correction = corrections.get(AttributeRef(*captured[:3]), 0)
    unit = unit_of(quantity) if column.unit is None else column.unit
    return Register(captured, quantity, tag, scaler, unit, scaler + correction)


def unit_of(quantity: Quantity) -> int:
    """The unit of a quantity, by its number in the Blue Book."""
    if quantity.sort in (Sort.ENERGY, Sort.BLOCK_ENERGY, Sort.DEMAND):
        energy, demand = _UNITS_OF_FLOWS[quantity.channel.partition("_")[0]]
        return demand if quantity.sort is Sort.DEMAND else energy
    if quantity.channel in ("va_instant", "var_instant"):
        return VOLT_AMPERE if quantity.channel == "va_instant" else VAR
    return _UNITS.get(quantity.sort, NO_UNIT)


def _learnt(profile: Profile) -> tuple[Column, ...]:
    if profile.event_log is not None:
        numbered = [one for one in (profile.event_log.code, profile.event_log.sequence) if one is not None]
        return (_CLOCK, *(Column(CaptureObject(*one)) for one in numbered))
    return (_CLOCK, *(Column(CaptureObject(class_id, obis, VALUE)) for class_id, obis in _LEARNT.get(profile.kind, ())))


def _place(captured: CaptureObject) -> tuple[int, int]:
    """Clock, averages in their order, energies by their codes, all else."""
    sort = quantity_of(captured).sort
    if sort is Sort.TIME:
        return 0, 0
    if sort is Sort.BLOCK_ENERGY:
        return 2, captured.obis.c
    return (3, 0) if sort in (Sort.OCTET, Sort.SIGNED_OCTET, Sort.COUNT) else (1, 0)
