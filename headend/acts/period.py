"""The capture period of a load profile: show it, and change it, which erases what the profile holds.

The one rule: it is set where the type says that it is set (on Indian meters an object of its own), and read where it
acts, in the profile.
"""

from __future__ import annotations

from typing import Final

from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from drivers.session import Session
from headend.acts.deed import Act, Deed, View
from headend.acts.field import Look, Prepare, document_of
from headend.collection.clock import setting_association
from headend.reading.from_meter import text_of
from headend.words import words
from profiles.errors import AccessDenied, SettingsError
from profiles.meter_type import Association, Control, MeterType, Profile, ProfileKind
from profiles.objects import AttributeRef

PROFILE_GENERIC: Final = 7
CLASSES: Final = frozenset({1, PROFILE_GENERIC})
"""Of what is set: an object of class Data, or the profile."""
KINDS: Final[dict[str, ProfileKind]] = {"block-load": "block_load", "daily": "daily_load"}
"""By the command's names."""
_CONTROLS: Final = {"block-load": "block_period", "daily": "daily_period"}
_PERIOD, _IN_USE = 4, 7


def looking(which: str) -> Look:
    """The period and how many rows are kept."""

    async def look(session: Session, meter_type: MeterType) -> View:
        obis = _profile(meter_type, which).obis
        period_s = axdr.decode(await session.get(AttributeRef(PROFILE_GENERIC, obis, _PERIOD)))
        try:
            rows = axdr.decode(await session.get(AttributeRef(PROFILE_GENERIC, obis, _IN_USE)))
        except AccessDenied:
            rows = None
        told = "acts.period_alone" if rows is None else "acts.period_told"
        pairs = {"profile": which, "capture_period_s": text_of(period_s), "rows": text_of(rows)}
        return document_of(pairs, words(told, seconds=text_of(period_s), rows=text_of(rows)))

    return look


def association(meter_type: MeterType, which: str) -> Association:
    """The association that may set it; SettingsError where the type names none."""
    control = _control(meter_type, which)
    found = setting_association(meter_type) if control is None else meter_type.associations[control.association]
    if found is None:
        raise SettingsError(
            f"meter type {meter_type.name} names no association that may set things",
            remedy="put its client into the address: ?client=48",
        )
    return found


def setting(which: str, period_s: int) -> Prepare:
    """Set it to so many seconds."""
    if not 60 <= period_s <= 86_400:
        raise SettingsError("a capture period is 60 to 86400 seconds here")

    async def prepare(session: Session, meter_type: MeterType) -> Deed:
        reference = _reference(meter_type, which)
        was = axdr.decode_typed(await session.get(reference))
        act = Act(reference, Datum(was.type, period_s))

        async def plan(_: Session) -> tuple[Act, ...]:
            return (act,)

        erases = "acts.period_erases" if meter_type.buffer_habit.erased_by_new_period else "acts.period_may_erase"
        return Deed(
            words("acts.period_title", profile=which),
            meter_type.serial,
            lambda session: looking(which)(session, meter_type),
            plan,
            (words("acts.set_to", value=words("acts.period_alone", seconds=period_s)),),
            words(erases, profile=which),
        )

    return prepare


def _reference(meter_type: MeterType, which: str) -> AttributeRef:
    """What is set."""
    control = _control(meter_type, which)
    if control is not None:
        return AttributeRef(control.class_id, control.obis, 2)
    return AttributeRef(PROFILE_GENERIC, _profile(meter_type, which).obis, _PERIOD)


def _profile(meter_type: MeterType, which: str) -> Profile:
    found = meter_type.of_kind(KINDS[which])
    if not found:
        raise SettingsError(f"meter type {meter_type.name} has no profile of {which}")
    return found[0]


def _control(meter_type: MeterType, which: str) -> Control | None:
    return next((one for one in meter_type.controls.values() if one.name == _CONTROLS[which]), None)
