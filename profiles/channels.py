"""Channels: which column of `interval_reading` holds which captured object of a load profile.

The one rule: a column's name, unit and exponent never change once a database has them, since stored integers
mean nothing without them. What has no channel here is kept by class, OBIS and attribute as an extra value.

Columns hold integers: thousandths of the SI unit (mWh, mV, mA …; exponent -3), or the plain number (exponent 0) for
status words that have no unit. Which meters capture what: docs/meter-facts.md, "Block load".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from profiles.objects import AttributeRef, Obis

W: Final = 27
VA: Final = 28
WH: Final = 30
VAH: Final = 31
VARH: Final = 32
A: Final = 33
V: Final = 35
HZ: Final = 44
NO_UNIT: Final = 255
"""Units by their number in the Blue Book's table of units (class 3, scaler_unit)."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One column: the object that fills it, its unit, and ten's exponent of the stored integer."""

    name: str
    attribute: AttributeRef
    unit: int
    exponent: int

    @property
    def scaled(self) -> bool:
        """Whether the meter owes a scaler for the object: registers have one, data (class 1) has none by nature."""
        return self.attribute.class_id in (3, 4)


_THOUSANDTHS: Final = (
    ("voltage", V, "1.0.12.27.0"),
    ("voltage_l1", V, "1.0.32.27.0"),
    ("voltage_l2", V, "1.0.52.27.0"),
    ("voltage_l3", V, "1.0.72.27.0"),
    ("current", A, "1.0.11.27.0"),
    ("current", A, "1.0.94.91.214"),
    ("current_l1", A, "1.0.31.27.0"),
    ("current_l2", A, "1.0.51.27.0"),
    ("current_l3", A, "1.0.71.27.0"),
    ("neutral_current", A, "1.0.91.27.0"),
    ("wh_import", WH, "1.0.1.29.0"),
    ("wh_export", WH, "1.0.2.29.0"),
    ("vah_import", VAH, "1.0.9.29.0"),
    ("vah_export", VAH, "1.0.10.29.0"),
    ("varh_q1", VARH, "1.0.5.29.0"),
    ("varh_q2", VARH, "1.0.6.29.0"),
    ("varh_q3", VARH, "1.0.7.29.0"),
    ("varh_q4", VARH, "1.0.8.29.0"),
    ("w_import", W, "1.0.1.27.0"),
    ("w_instant", W, "1.0.1.7.0"),
    ("va_instant", VA, "1.0.9.7.0"),
    ("power_factor", NO_UNIT, "1.0.13.27.0"),
    ("power_factor_l1", NO_UNIT, "1.0.33.27.0"),
    ("power_factor_l2", NO_UNIT, "1.0.53.27.0"),
    ("power_factor_l3", NO_UNIT, "1.0.73.27.0"),
    ("frequency", HZ, "1.0.14.7.0"),
    ("wh_import_register", WH, "1.0.1.8.0"),
    ("wh_export_register", WH, "1.0.2.8.0"),
    ("vah_import_register", VAH, "1.0.9.8.0"),
    ("vah_export_register", VAH, "1.0.10.8.0"),
)
_AS_IS: Final = (
    ("meter_health", "0.0.96.10.1"),
    ("signal_strength", "0.1.96.12.5"),
)


def _channels() -> Iterator[Channel]:
    # A register of one maker is an extended register or plain data of another; the number means the same.
    for name, unit, obis in _THOUSANDTHS:
        for class_id in (3, 4):
            yield Channel(name, AttributeRef(class_id, Obis.parse(obis), 2), unit, -3)
    for name, obis in _AS_IS:
        for class_id in (1, 3, 4):
            yield Channel(name, AttributeRef(class_id, Obis.parse(obis), 2), NO_UNIT, 0)


CHANNELS: Final[Mapping[tuple[int, Obis, int], Channel]] = MappingProxyType(
    {channel.attribute: channel for channel in _channels()}
)
"""By (class id, OBIS, attribute). Several objects may fill one column; a meter captures one of them."""

COLUMNS: Final[Mapping[str, Channel]] = MappingProxyType(
    {
        name: next(c for c in CHANNELS.values() if c.name == name)
        for name in dict.fromkeys(c.name for c in CHANNELS.values())
    }
)
"""By name, each column once, with the first object that fills it: the columns of `interval_reading`, in order."""
