"""The profiles that an association lists, known or not.

The one rule: a profile is known by its OBIS code to the meter's type; of any other, the list says how it may be read
and the standard what its code means, and its rows are read without more.
"""

from __future__ import annotations

from typing import Final

from drivers.cosem.object_list import ListedObject
from drivers.cosem.objects import read_object_list
from drivers.reading.layout import BUFFER, PROFILE_GENERIC
from drivers.session import Session
from profiles.meter_type import EventLog, MeterType, Profile, SelectiveAccess
from profiles.obis_names import obis_name
from profiles.objects import AttributeRef, Obis

_BY_RANGE, _BY_ENTRY = 1, 2
_EVENT_CODE: Final = Obis(0, 0, 96, 11, 0)
_EVENT_LOG: Final = 98
"""Group D of 0.b.99.98.e, the standard's codes of event logs."""


async def listed_profiles(session: Session, meter_type: MeterType) -> tuple[Profile, ...]:
    """The profiles whose buffer this association may read, in the list's order. Raises what GET does."""
    known = {profile.obis: profile for profile in meter_type.profiles.values()}
    return tuple(
        known.get(one.obis) or _unknown(one)
        for one in await read_object_list(session)
        if one.class_id == PROFILE_GENERIC and AttributeRef(PROFILE_GENERIC, one.obis, BUFFER) in one.readable
    )


def _unknown(listed: ListedObject) -> Profile:
    obis = listed.obis
    is_log = (obis.a, obis.c, obis.d) == (0, 99, _EVENT_LOG)
    log = EventLog(f"log {obis.e}", AttributeRef(1, _EVENT_CODE._replace(e=obis.e), 2)) if is_log else None
    return Profile(
        name=obis_name(obis) or str(obis),
        obis=obis,
        scaler_obis=None,
        selective_access=_access(listed),
        stamp="end",
        capture_period_s=0,
        depth_days=0,
        capture_objects=(),
        kind="event_log" if is_log else "instantaneous",
        event_log=log,
    )


def _access(listed: ListedObject) -> SelectiveAccess:
    """By entry where that is offered: a profile of unknown period can't be cut into ranges of few rows."""
    right = listed.right(BUFFER)
    selectors = () if right is None else right.selectors
    if _BY_ENTRY in selectors:
        return "entry"
    return "range" if _BY_RANGE in selectors else "none"
