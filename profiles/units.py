"""Units by their number in the Blue Book's table of units (Register, attribute scaler_unit)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_FROM_1: Final = """
    a mo wk d h min s ° °C currency m m/s m³ m³ m³/h m³/h m³/d m³/d l kg N Nm Pa bar J J/h W VA var Wh VAh varh A C V
    V/m F Ω Ωm²/m Wb T A/m H Hz 1/Wh 1/varh 1/VAh V²h A²h kg/s S K 1/(V²h) 1/(A²h) 1/m³ % Ah
"""
_OTHERS: Final = {
    60: "Wh/m³",
    61: "J/m³",
    62: "mol%",
    63: "g/m³",
    64: "Pa·s",
    65: "J/kg",
    66: "g/cm²",
    67: "atm",
    70: "dBm",
    71: "dBµV",
    72: "dB",
    255: "",
}

UNITS: Final[Mapping[int, str]] = MappingProxyType({**dict(enumerate(_FROM_1.split(), 1)), **_OTHERS})
"""The symbol; empty for 255, a number without a unit. Corrected and uncorrected gas volumes share theirs."""


def unit_symbol(unit: int) -> str:
    """The symbol of a unit; `unit 73` for a number that the table does not have."""
    return UNITS.get(unit, f"unit {unit}")
