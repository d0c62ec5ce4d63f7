"""The limiter (class 71): its thresholds, and how long they must be exceeded.

The one rule: thresholds are told and taken in the unit of the register that the limiter watches, scaled as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from drivers.session import Session
from headend.acts.deed import Act, Deed, View
from headend.acts.field import Prepare, control_of
from headend.raw_read import SCALED_BY, json_number, read_scaler_unit
from headend.words import Words, words
from profiles.errors import AccessDenied, ProtocolError, SettingsError
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef, Obis, ScalerUnit
from profiles.units import unit_symbol

LIMITER: Final = 71
_MONITORED: Final = 2
_THRESHOLDS: Final = (3, 4, 5)
_NAMES: Final = {3: "active", 4: "normal", 5: "emergency", 6: "min_over_s", 7: "min_under_s"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What is to be set, by attribute of class 71: thresholds in their unit, durations in seconds."""

    normal: float | None = None
    emergency: float | None = None
    over_s: int | None = None

    @property
    def by_attribute(self) -> dict[int, float]:
        """Attribute and value of those that are given; SettingsError for what can't be."""
        given = {4: self.normal, 5: self.emergency, 6: self.over_s}
        found = {index: value for index, value in given.items() if value is not None}
        if any(not 0 <= value < 1e12 for value in found.values()):
            raise SettingsError("a limit is a number from 0 on")
        return found


async def look(session: Session, meter_type: MeterType) -> View:
    """Thresholds and durations; those that may not be read are left out."""
    obis = control_of(meter_type, LIMITER, "limiter").obis
    scale = await _scale(session, obis)
    unit = unit_symbol(scale.unit)
    entries: list[tuple[str, ...]] = []
    document: dict[str, object] = {"unit": unit}
    for index, name in _NAMES.items():
        datum = await _attribute(session, obis, index)
        if datum is None or not isinstance(datum.value, int):
            continue
        value = Decimal(datum.value).scaleb(scale.scaler if index in _THRESHOLDS else 0)
        entries.append((_told(index, f"{value:f}", unit),))
        document[name] = json_number(value)
    return View(tuple(entries), document)


def setting(limits: Limits) -> Prepare:
    """Set what is given, each of them an act."""
    wanted = limits.by_attribute

    async def prepare(session: Session, meter_type: MeterType) -> Deed:
        obis = control_of(meter_type, LIMITER, "limiter").obis
        scale = await _scale(session, obis)
        acts = []
        for index, value in wanted.items():
            was = await _attribute(session, obis, index)
            if was is None or not isinstance(was.value, int):
                raise SettingsError(f"the limiter gives no {_NAMES[index]} to be set")
            counts = Decimal(str(value)).scaleb(-scale.scaler if index in _THRESHOLDS else 0)
            acts.append(Act(AttributeRef(LIMITER, obis, index), Datum(was.type, int(counts.to_integral_value()))))

        async def plan(_: Session) -> tuple[Act, ...]:
            return tuple(acts)

        unit = unit_symbol(scale.unit)
        return Deed(
            words("acts.limit_title", obis=obis),
            meter_type.serial,
            lambda session: look(session, meter_type),
            plan,
            tuple(words("acts.set_to", value=_told(index, f"{value:g}", unit)) for index, value in wanted.items()),
            words("acts.limit_warning"),
        )

    return prepare


def _told(index: int, number: str, unit: str) -> Words:
    """An attribute and its value."""
    value = f"{number} {unit if index in _THRESHOLDS else 's'}".rstrip()
    return words(f"acts.limit_threshold_{index}", value=value)


async def _attribute(session: Session, obis: Obis, index: int) -> Datum | None:
    try:
        return axdr.decode_typed(await session.get(AttributeRef(LIMITER, obis, index)))
    except AccessDenied as denied:
        if denied.retry:
            raise
        return None


async def _scale(session: Session, obis: Obis) -> ScalerUnit:
    """Scaler and unit of the value that is watched. ProtocolError where that is not told: no threshold is guessed."""
    asked = AttributeRef(LIMITER, obis, _MONITORED)
    match axdr.decode(await session.get(asked)):
        case axdr.Structure((int(class_id), bytes(code), int(attribute))) if len(code) == 6:
            scaler = SCALED_BY.get((class_id, attribute))
            found = None
            if scaler is not None:
                found = await read_scaler_unit(session, AttributeRef(class_id, Obis(*code), scaler))
            if found is not None:
                return found
    raise ProtocolError(
        "the limiter does not say what it watches, or that has no scaler",
        asked=f"get {asked}",
        remedy="`headend set` sets plain numbers",
    )
