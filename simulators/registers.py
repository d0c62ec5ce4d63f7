"""What the makers' meters make of the physical load: their registers, resolutions, column orders.

The one rule: a physical value becomes a register count in `counts`, and nowhere else. Two makers differ in every
scaler, in column order and in columns, so that no error of a factor of ten, or of position, goes unseen.
Resolutions are those seen on Indian meters (docs/meter-facts.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from profiles.objects import Obis
from simulators.load import Load

_RANGES = {0x05: (">i4", -(2**31), 2**31 - 1), 0x06: (">u4", 0, 2**32 - 1), 0x0F: ("i1", -128, 127)} | {
    0x11: ("u1", 0, 255),
    0x12: (">u2", 0, 65_535),
}
"""A-XDR integer tags (Blue Book, common data types): numpy form, least and largest value."""

VOLT, AMPERE, WATT_HOUR, VOLT_AMPERE_HOUR = 35, 33, 30, 31
"""Units of the Blue Book's enumeration."""


@dataclass(frozen=True, slots=True)
class Register:
    """One block load column: the channel of `Load` that it measures, its COSEM object, A-XDR tag, scaler and unit.

    A column without a scaler (class 1) has None for both and counts the channel's own whole numbers.
    """

    channel: str
    class_id: int
    obis: Obis
    tag: int
    scaler: int | None = None
    unit: int | None = None

    @property
    def dtype(self) -> str:
        """The numpy type of its A-XDR value."""
        return _RANGES[self.tag][0]


@dataclass(frozen=True, slots=True)
class Maker:
    """One maker of meters: FLAG id, name, firmware, largest APDU, and its block load columns after the clock."""

    flag: str
    name: str
    firmware: str
    max_pdu: int
    columns: tuple[Register, ...]


def counts(register: Register, load: Load) -> NDArray[np.int64]:
    """The counts that the register holds for each interval of `load`: rounded to its resolution, held in its range."""
    physical: NDArray[np.float64] = getattr(load, register.channel)
    _, least, largest = _RANGES[register.tag]
    steps = physical / 10.0 ** (register.scaler or 0)
    return np.clip(np.rint(steps), least, largest).astype(np.int64)


def maker_of(meter: int) -> Maker:
    """The maker of the meter with this index in its fleet: they alternate, so that any two neighbours differ."""
    return MAKERS[meter % len(MAKERS)]


def _energy(channel: str, code: int, tag: int, scaler: int) -> Register:
    unit = WATT_HOUR if channel.startswith("wh") else VOLT_AMPERE_HOUR
    return Register(channel, 3, Obis(1, 0, code, 29, 0), tag, scaler, unit)


_HEALTH = Register("meter_health", 1, Obis(0, 0, 96, 10, 1), 0x11)
_SIGNAL = Register("signal_strength", 1, Obis(0, 1, 96, 12, 5), 0x0F)

MAKERS = (
    Maker(
        "SMA",
        "Satpura Meters",
        "SM1P-2.04",
        1024,
        (
            Register("voltage", 3, Obis(1, 0, 12, 27, 0), 0x12, -2, VOLT),
            _energy("wh_import", 1, 0x06, 0),
            _energy("vah_import", 9, 0x06, 0),
            _energy("wh_export", 2, 0x06, 0),
            _energy("vah_export", 10, 0x06, 0),
            Register("current", 3, Obis(1, 0, 11, 27, 0), 0x12, -3, AMPERE),
            _HEALTH,
            _SIGNAL,
        ),
    ),
    Maker(
        "NRB",
        "Narmada Electric",
        "NE-110",
        560,
        (
            Register("voltage", 3, Obis(1, 0, 12, 27, 0), 0x12, -1, VOLT),
            Register("current", 3, Obis(1, 0, 11, 27, 0), 0x12, -2, AMPERE),
            _energy("wh_import", 1, 0x05, 1),
            _energy("wh_export", 2, 0x05, 1),
            _energy("vah_import", 9, 0x05, 1),
            _energy("vah_export", 10, 0x05, 1),
            _HEALTH,
        ),
    ),
)
