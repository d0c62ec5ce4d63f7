"""Meter types: what a family of meters (maker + model + firmware family) offers, as data.

A type is a TOML file in `profiles/types/`. What the meter itself says (capture objects, scalers, capture
period) always wins over the type; the type says what cannot be asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from profiles.objects import AttributeRef, CaptureObject, Obis

Deviation = Literal["ignore", "utc-minus-local", "local-minus-utc"]
"""What the deviation of a date-time means on this type: ignored (wall time of the type's zone), DLMS's own sense
(India: -330), or India's (+330); meters.md 6.1. The value 0x8000 (not specified) always means the type's zone."""


@dataclass(frozen=True, slots=True)
class Association:
    """One application association of a meter type."""

    name: str
    client_sap: int
    mechanism: int
    """0 none, 1 LLS, 2 HLS (AES-128-ECB of the challenge), 5 HLS-GMAC."""
    security_control: int
    """0x00 no ciphering, 0x10 authentication, 0x20 encryption, 0x30 both; low nibble: suite."""
    logical_name: Obis
    invocation_counter: Obis | None
    max_pdu: int

    @property
    def ciphered(self) -> bool:
        return self.security_control != 0


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile generic object (class 7) of a meter type."""

    name: str
    obis: Obis
    scaler_obis: Obis | None
    """The scaler profile that scales this profile and no other; None: scalers are read from each object's attribute 3."""
    selective_access: Literal["range", "entry", "none"]
    stamp: Literal["start", "end"]
    """Which end of the interval the row's date-time names."""
    capture_period_s: int
    depth_days: int
    capture_objects: tuple[CaptureObject, ...]
    """As documented. The meter's own attribute 3 wins."""


@dataclass(frozen=True, slots=True)
class MeterType:
    """One meter type, as its file says."""

    name: str
    title: str
    server_sap: int
    zone: str
    deviation: Deviation
    associations: Mapping[str, Association]
    profiles: Mapping[str, Profile]
    clock: AttributeRef
    serial: AttributeRef
    nameplate: Obis | None
    reading_association: str
    """The association that collects: 'meter_reader' on Indian meters."""
    drift_allowed_s: int
    doubts: tuple[str, ...]
