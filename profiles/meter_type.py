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
(India: -330), or India's (+330); docs/meter-facts.md, "Time". The value 0x8000 (not specified) always means the
type's zone."""

SelectiveAccess = Literal["range", "entry", "none"]
"""How a part of the buffer can be asked for: by range of the clock (selector 1), by entry (2), not at all."""

Stamp = Literal["start", "end"]
"""Which end of its interval a row's date-time names."""

NullData = Literal["missing", "repeat"]
"""What null-data means in a column of values: nothing was recorded, or the same as in the row before (compressed
profiles). In the date-time column it always means one capture period after the row before."""


Ciphering = Literal["glo", "ded", "general-glo", "general-ded", "general-ciphering"]
"""The APDUs that carry what is ciphered (Green Book, clause 9.2.7.2): the service's own under the global or the
dedicated key, or a general one for all services. The initiate-request of a ded or general association is a glo one."""

KeyOrigin = Literal["identified", "wrapped", "one-pass", "static-unified"]
"""Where the key of a general-ciphering APDU comes from (Green Book, clause 9.2.3.4.6)."""


@dataclass(frozen=True, slots=True)
class Association:
    """One application association of a meter type."""

    name: str
    client_sap: int
    mechanism: int
    """0 none, 1 LLS, 2 HLS (AES-128-ECB of the challenge), 3 MD5, 4 SHA-1, 5 GMAC, 6 SHA-256, 7 ECDSA."""
    security_control: int
    """0x00 no ciphering, 0x10 authentication, 0x20 encryption, 0x30 both; low nibble: suite."""
    logical_name: Obis
    invocation_counter: Obis | None
    max_pdu: int
    ciphering: Ciphering = "glo"
    key_origin: KeyOrigin = "identified"
    """For general-ciphering."""
    signed: bool = False
    """Every APDU is in a general-signing one, ciphered first where it is ciphered at all."""
    pre_established: bool = False
    """Always open: neither AARQ nor release."""

    @property
    def suite(self) -> int:
        """The security suite."""
        return self.security_control & 0x0F

    @property
    def ciphered(self) -> bool:
        """Whether APDUs are authenticated, encrypted, or both."""
        return self.security_control & 0x30 != 0

    @property
    def protected(self) -> bool:
        """Whether the application context is the one with ciphering."""
        return self.ciphered or self.signed

    @property
    def needs_keys(self) -> bool:
        """Whether it takes symmetric keys and invocation counters: ciphering does, and so does HLS-GMAC."""
        return self.ciphered or self.mechanism == 5


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile generic object (class 7) of a meter type."""

    name: str
    obis: Obis
    scaler_obis: Obis | None
    """The scaler profile that scales this profile and no other; None: each object's own attribute 3 does."""
    selective_access: SelectiveAccess
    stamp: Stamp
    capture_period_s: int
    depth_days: int
    capture_objects: tuple[CaptureObject, ...]
    """As documented. The meter's own attribute 3 wins."""
    null_data: NullData = "missing"


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
    """How far ahead of ours the meter's clock may run before its rows are no longer believed."""
    doubts: tuple[str, ...]
    """What is not known for sure about this type, to be settled on the first meters on site."""
