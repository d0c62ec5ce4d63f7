"""A mapping: how one MDM wants to hear of what meters tell, in the codes of IEC 61968-9.

The one rule: what has no known code says so with its reason (`Unmapped`); no code is ever made up on the way.

Head-ends differ in these codes (three known ones have three codes for a power failure), so a mapping is data, one file
an MDM; `default.toml` says what is known and how well, another file may build on it. Sources: docs/meter-facts.md,
"IEC 61968-9".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from profiles.intervals import Quality
from profiles.mappings.codes import (
    COMMODITY_PRIMARY,
    COMMODITY_SECONDARY,
    FIXED_BLOCKS,
    MEASURING_PERIODS,
    EndDeviceCode,
    ReadingQuality,
    ReadingType,
)
from profiles.objects import Obis

ProfileKind = Literal["block_load", "instantaneous", "daily_load", "billing"]

Grade = Literal["seen", "retyped", "wider", "derived", "own"]
"""How sure a code is. seen: in use for this very thing. retyped: in use with device type 0, here 3. wider: in use for a
kind of thing of which this is one. derived: put together from published fields. own: given by the utility."""

GOOD: Final = "good"
MISSING: Final = "missing"
"""Qualities besides the bits of `Quality`: nothing is known against a value; the meter has none for the interval."""

CONTROLS: Final = (
    *("disconnect", "connect", "arm_disconnect", "arm_connect", "load_limit_start", "load_limit_end"),
    *("key_renewal", "demand_reset"),
)
"""What an MDM may ask for, by the names of this program."""

CodeT = TypeVar("CodeT")


@dataclass(frozen=True, slots=True)
class Unmapped:
    """There is no known code, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Mapped(Generic[CodeT]):
    """A code, how sure it is, and what a reader of it should know (may be empty)."""

    code: CodeT
    grade: Grade
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReadingTypeTemplate:
    """The mRID of a reading type in which `{period}`, `{block}`, `{commodity}` and `{rate}` are still open."""

    text: str

    def fill(self, *, interval_s: int | None, demand_s: int | None, primary: bool, rate: int) -> ReadingType | Unmapped:
        """The reading type; Unmapped where a period is open and the meter's is not known or has no code."""
        fields = {"commodity": COMMODITY_PRIMARY if primary else COMMODITY_SECONDARY, "rate": rate}
        for name, what, seconds, codes in (
            ("period", "interval", interval_s, MEASURING_PERIODS),
            ("block", "demand integration period", demand_s, FIXED_BLOCKS),
        ):
            if f"{{{name}}}" not in self.text:
                continue
            if seconds is None:
                return Unmapped(f"the meter's {what} is not known")
            if seconds not in codes:
                return Unmapped(f"no code is known where the {what} is {seconds} s")
            fields[name] = codes[seconds]
        return ReadingType.parse(self.text.format(**fields))


@dataclass(frozen=True, slots=True)
class MdmMapping:
    """A whole mapping, as its file and what it builds on say.

    `readings`: by kind of profile, then by column name (block load) or OBIS code (all others); `qualities`: by name;
    `events`: by event code; `status_bits`: by bit of the event status word, for bits that are no event; `controls`: by
    name of `CONTROLS`.
    """

    name: str
    title: str
    readings: Mapping[tuple[ProfileKind, str | Obis], Mapped[ReadingTypeTemplate] | Unmapped]
    qualities: Mapping[str, Mapped[ReadingQuality] | Unmapped]
    events: Mapping[int, Mapped[EndDeviceCode] | Unmapped]
    status_bits: Mapping[int, Mapped[EndDeviceCode] | Unmapped]
    controls: Mapping[str, Mapped[EndDeviceCode] | Unmapped]

    def interval_reading(self, column: str, interval_s: int, *, primary: bool = False) -> ReadingType | Unmapped:
        """The reading type of a column of `interval_reading`; `primary`: its values are before the transformers.

        The stored integer is in ten to the column's exponent, the MDM's in ten to the reading type's multiplier.
        """
        found = self.readings.get(("block_load", column)) or self._silent(f"the column {column}")
        if isinstance(found, Unmapped):
            return found
        return found.code.fill(interval_s=interval_s, demand_s=None, primary=primary, rate=0)

    def reading(
        self, profile: ProfileKind, obis: Obis, *, demand_s: int | None = None, primary: bool = False
    ) -> ReadingType | Unmapped:
        """The reading type of a register in another profile; `demand_s`: the meter's demand integration period."""
        found = self.readings.get((profile, obis)) or self._silent(f"{obis} in the profile {profile}")
        if isinstance(found, Unmapped):
            return found
        return found.code.fill(interval_s=None, demand_s=demand_s, primary=primary, rate=obis.e)

    def reading_qualities(self, quality: Quality) -> tuple[ReadingQuality, ...]:
        """What to say of a value with these bits, each code once; of bits without a code nothing, of none `good`."""
        names = [str(mark.name).lower() for mark in Quality if mark & quality] or [GOOD]
        found = (self.qualities.get(name) for name in names)
        return tuple(dict.fromkeys(one.code for one in found if isinstance(one, Mapped)))

    def event(self, number: int) -> Mapped[EndDeviceCode] | Unmapped:
        """The event type of an IS 15959 event code."""
        return self.events.get(number) or self._silent(f"event {number}")

    def status_bit(self, bit: int) -> Mapped[EndDeviceCode] | Unmapped:
        """The event type of a bit of the event status word that is set, if it is no event in itself."""
        return self.status_bits.get(bit) or self._silent(f"status bit {bit}")

    def control(self, name: str) -> Mapped[EndDeviceCode] | Unmapped:
        """The control type of one of `CONTROLS`."""
        return self.controls.get(name) or self._silent(f"the control {name}")

    def _silent(self, what: str) -> Unmapped:
        return Unmapped(f"the mapping {self.name} says nothing of {what}")
