"""Layouts: what a meter says of one of its profiles.

The one rule: it is read once and holds for every meter of the same firmware until a buffer does not fit it. Scalers
belong to a class and an OBIS code, never to a column's place, and to one profile: another may scale the same object
otherwise (docs/meter-facts.md, "Scaler profiles").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from drivers.dlms import axdr
from drivers.dlms.profile_buffer import decode_capture_objects, decode_scaler_unit, decode_scalers
from profiles.errors import AccessDenied, ProtocolError, SettingsError
from profiles.meter_type import LOAD_KINDS, REGISTER_CLASSES, VALUE, Profile
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit

PROFILE_GENERIC: Final = 7
BUFFER: Final = 2
CAPTURE_OBJECTS: Final = 3
CAPTURE_PERIOD: Final = 4

SHORTEST_PERIOD_S: Final = 60
LONGEST_PERIOD_S: Final = 86_400

_DEMAND_REGISTER: Final = 5
_SCALER_UNIT: Final = {3: 3, 4: 3, _DEMAND_REGISTER: 4}
"""By class: the attribute with the scaler and unit."""
_LAST_AVERAGE: Final = 3

Scalers = Mapping[tuple[int, Obis, int], ScalerUnit]


class Answering(Protocol):
    """Who answers a GET: a session, or what was kept of one."""

    async def get(self, attribute: AttributeRef, selection: bytes | None = None) -> bytes:
        """The A-XDR octets of one attribute. AccessDenied where there is none."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a meter says of one of its profiles; it stays true until the firmware or the configuration changes."""

    capture_objects: tuple[CaptureObject, ...]
    scalers: dict[tuple[int, Obis, int], ScalerUnit]
    """By (class id, logical name, attribute 2)."""
    capture_period_s: int
    """0 in profiles that are not captured by the clock."""

    def scaler_of(self, captured: CaptureObject) -> ScalerUnit | None:
        """That of a column, if the meter gave one; times and parts of attributes have none."""
        return self.scalers.get((captured.class_id, captured.obis, VALUE)) if is_value(captured) else None

    def to_plain(self) -> dict[str, Any]:
        """As numbers, texts and lists, for JSON."""
        return {
            "capture_objects": [[one[0], str(one.obis), *one[2:]] for one in self.capture_objects],
            "scalers": [[c, str(obis), a, one.scaler, one.unit] for (c, obis, a), one in sorted(self.scalers.items())],
            "capture_period_s": self.capture_period_s,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Layout:
        """What `to_plain` made. Raises SettingsError for anything else."""
        try:
            objects = tuple(CaptureObject(c, Obis.parse(obis), a, i) for c, obis, a, i in plain["capture_objects"])
            scalers = {(c, Obis.parse(obis), a): ScalerUnit(s, unit) for c, obis, a, s, unit in plain["scalers"]}
            return cls(objects, scalers, int(plain["capture_period_s"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise SettingsError("a kept layout is none", remedy="read it from the meter again") from None


def is_value(captured: CaptureObject) -> bool:
    """Whether a column holds a whole value that a scaler may be for: of a demand register, either average."""
    averages = captured.class_id == _DEMAND_REGISTER and captured.attribute == _LAST_AVERAGE
    return (captured.attribute == VALUE or averages) and not captured.data_index


async def read_layout(session: Answering, profile: Profile) -> Layout:
    """Capture objects, scalers and, of a load profile, the period: two GETs, three for a load profile or scalers in a
    profile, four for both; one more for each register where no profile has its scaler.

    Raises ProtocolError for a profile that captures nothing, or every less than a minute or more than a day, and
    whatever GET does.
    """
    captured = decode_capture_objects(await session.get(AttributeRef(PROFILE_GENERIC, profile.obis, CAPTURE_OBJECTS)))
    if not captured:
        raise ProtocolError("this profile captures nothing", asked=f"get {profile.obis}", retry=False)
    period_s = await _read_period(session, profile) if profile.kind in LOAD_KINDS else 0
    return Layout(captured, await _read_scalers(session, profile, captured), period_s)


async def _read_period(session: Answering, profile: Profile) -> int:
    period = axdr.decode(await session.get(AttributeRef(PROFILE_GENERIC, profile.obis, CAPTURE_PERIOD)))
    if isinstance(period, bool) or not isinstance(period, int):
        raise ProtocolError("the capture period is no number of seconds", asked=f"get {profile.obis}")
    period = period or profile.capture_period_s
    if not SHORTEST_PERIOD_S <= period <= LONGEST_PERIOD_S:
        message = f"a capture period of {period} s, a minute to a day can be read"
        raise ProtocolError(message, asked=f"get {profile.obis}")
    return period


async def _read_scalers(
    session: Answering, profile: Profile, captured: tuple[CaptureObject, ...]
) -> dict[tuple[int, Obis, int], ScalerUnit]:
    if profile.scaler_obis is None:
        return await _read_register_scalers(session, captured)
    try:
        objects = await session.get(AttributeRef(PROFILE_GENERIC, profile.scaler_obis, CAPTURE_OBJECTS))
        row = await session.get(AttributeRef(PROFILE_GENERIC, profile.scaler_obis, BUFFER))
    except AccessDenied as denied:
        # A meter without the scaler profile of its type: the registers may say. None at all is no layout.
        scalers = {} if denied.retry else await _read_register_scalers(session, captured)
        if not scalers:
            raise
        return scalers
    return decode_scalers(decode_capture_objects(objects), row)


async def _read_register_scalers(
    session: Answering, captured: tuple[CaptureObject, ...]
) -> dict[tuple[int, Obis, int], ScalerUnit]:
    """Those of the registers themselves; of one that may not be read alone there is none."""
    scalers: dict[tuple[int, Obis, int], ScalerUnit] = {}
    for column in captured:
        key = (column.class_id, column.obis, VALUE)
        if column.class_id not in REGISTER_CLASSES or not is_value(column) or key in scalers:
            continue
        attribute = AttributeRef(column.class_id, column.obis, _SCALER_UNIT[column.class_id])
        try:
            scalers[key] = decode_scaler_unit(await session.get(attribute), f"scaler_unit of {column}")
        except AccessDenied as denied:
            if denied.retry:
                raise
    return scalers
