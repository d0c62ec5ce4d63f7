"""The activity calendar and the special days (Blue Book, classes 20 and 11): which rate counts when.

The one rule: clients write the passive calendar, octet by octet as they mean it; it counts once it is activated, and
one that can not be understood is not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from drivers.dlms import axdr
from profiles.meter_type import Association, MeterType
from profiles.objects import Obis
from simulators.event_log import CALENDAR_SET
from simulators.model.scripts import TARIFF
from simulators.objects import ACTIVITY_CALENDAR, SPECIAL_DAYS, Attribute, CosemObject, Read, number_of
from simulators.refusals import Refused, Result
from simulators.tariff import MOST_RATES, USUAL_DAY, Calendar, Day, DayOfYear, Season

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

SPECIAL: Final = Obis(0, 0, 11, 0, 0)
_NEVER: Final = b"\xff" * 9 + b"\x80\x00\xff"
_NAME, _SEASONS, _WEEKS, _DAYS = 2, 3, 4, 5
"""Attributes of the active calendar; those of the passive one are four further."""
_PASSIVE: Final = 4
_MOST_OCTETS, _MOST_ERAS, _MOST_SPECIAL_DAYS = 4096, 32, 64


def _encode_day(day: Day) -> bytes:
    return axdr.array(
        [
            axdr.structure(
                axdr.octet_string(bytes((second // 3600, second // 60 % 60, second % 60, 0))),
                axdr.octet_string(bytes(TARIFF)),
                axdr.uint16(rate),
            )
            for second, rate in day
        ]
    )


_AT_FIRST: Final[Mapping[int, bytes]] = {
    _NAME: axdr.octet_string(b"usual"),
    _SEASONS: axdr.array([axdr.structure(axdr.octet_string(b"S"), axdr.octet_string(_NEVER), axdr.octet_string(b"W"))]),
    _WEEKS: axdr.array([axdr.structure(axdr.octet_string(b"W"), *[axdr.uint8(1)] * 7)]),
    _DAYS: axdr.array([axdr.structure(axdr.uint8(1), _encode_day(USUAL_DAY))]),
}
"""The calendar that meters come with."""


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    """The calendars that the type names, and with them the special days."""
    owners = {one.obis: one.association for one in meter_type.controls.values() if one.class_id == ACTIVITY_CALENDAR}
    special = CosemObject(
        SPECIAL_DAYS,
        {2: Attribute(lambda meter, _: _special_days(meter), _set_special_days)},
        {1: _insert, 2: _delete},
        owner=next(iter(owners.values()), None),
    )
    return {**{obis: _calendar(owner) for obis, owner in owners.items()}, **({SPECIAL: special} if owners else {})}


def activate_passive(meter: SimulatedMeter, at: int) -> None:
    """Let the passive calendar count from this moment on (seconds since 1970 UTC)."""
    octets = {**_AT_FIRST, **meter.state.passive}
    _count_from(meter, at, _parsed(octets), _special_of(meter))
    meter.state.active = dict(octets)
    meter.note(CALENDAR_SET)


def _calendar(owner: str) -> CosemObject:
    attributes = {index: Attribute(_read(index, active=True)) for index in _AT_FIRST}
    attributes |= {
        index + _PASSIVE: Attribute(_read(index, active=False), partial(_write, index)) for index in _AT_FIRST
    }
    attributes[10] = Attribute(lambda meter, _: _activation(meter), _set_activation)
    return CosemObject(
        ACTIVITY_CALENDAR,
        attributes,
        {1: lambda meter, *_: activate_passive(meter, int(meter.now()))},
        owner=owner,
    )


def _read(index: int, *, active: bool) -> Read:
    def read(meter: SimulatedMeter, _: Association) -> bytes:
        return (meter.state.active if active else meter.state.passive).get(index, _AT_FIRST[index])

    return read


def _write(index: int, meter: SimulatedMeter, _: Association, value: bytes) -> None:
    if len(value) > _MOST_OCTETS:
        raise Refused(Result.OTHER_REASON)
    _parsed({**_AT_FIRST, index: value})
    meter.state.passive[index] = value


def _activation(meter: SimulatedMeter) -> bytes:
    at = meter.state.passive_at
    return axdr.octet_string(_NEVER if at is None else meter.conditions.stamps.write_one(at))


def _set_activation(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    octets = axdr.decode(value)
    if not isinstance(octets, bytes):
        raise Refused(Result.TYPE_UNMATCHED)
    meter.state.passive_at = None if octets[:5] == _NEVER[:5] else meter.conditions.stamps.read(octets)


def _count_from(meter: SimulatedMeter, at: int, calendar: Calendar, special: Mapping[DayOfYear, int]) -> None:
    tariff = meter.conditions.tariff
    if len(tariff.eras) >= _MOST_ERAS:
        raise Refused(Result.OTHER_REASON)
    meter.conditions.tariff = replace(tariff, eras=(*tariff.eras, (at, calendar, special)))


# --- what calendars mean --------------------------------------------------------------------------------------


def _parsed(octets: Mapping[int, bytes]) -> Calendar:
    """Refused where it is no calendar."""
    days: dict[int, Day] = {}
    weeks: dict[bytes, tuple[int, ...]] = {}
    seasons: list[Season] = []
    for one in _list(octets[_DAYS]):
        match one:
            case axdr.Structure((int(number), list(actions))) if actions:
                days[number] = tuple(sorted(map(_action, actions)))
            case _:
                raise Refused(Result.TYPE_UNMATCHED)
    for one in _list(octets[_WEEKS]):
        match one:
            case axdr.Structure((bytes(name), *numbers)) if len(numbers) == 7:
                weeks[name] = tuple(map(_number, numbers))
            case _:
                raise Refused(Result.TYPE_UNMATCHED)
    for one in _list(octets[_SEASONS]):
        match one:
            case axdr.Structure((bytes(), bytes(begins), bytes(week))) if len(begins) == 12:
                seasons.append(Season(_day_of_year(begins), week))
            case _:
                raise Refused(Result.TYPE_UNMATCHED)
    if any(day[0][0] for day in days.values()):
        raise Refused(Result.OTHER_REASON)
    return Calendar(days, weeks, tuple(seasons))


def _action(value: axdr.Value) -> tuple[int, int]:
    """Second of the day, and rate."""
    match value:
        case axdr.Structure((bytes(time), bytes(), int(rate))) if len(time) == 4 and 1 <= rate <= MOST_RATES:
            second = time[0] * 3600 + time[1] * 60 + (time[2] % 0xFF)
            if second < 86_400:
                return second, rate
    raise Refused(Result.OTHER_REASON)


def _day_of_year(octets: bytes) -> DayOfYear:
    return DayOfYear(int.from_bytes(octets[:2], "big"), octets[2], octets[3])


def _number(value: axdr.Value) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(Result.TYPE_UNMATCHED)
    return value


def _list(octets: bytes) -> list[Any]:
    found = axdr.decode(octets)
    if not isinstance(found, list):
        raise Refused(Result.TYPE_UNMATCHED)
    return found


# --- special days ---------------------------------------------------------------------------------------------


def _special_of(meter: SimulatedMeter) -> dict[DayOfYear, int]:
    return {_day_of_year(octets): day for octets, day in meter.state.special_days.values()}


def _special_days(meter: SimulatedMeter) -> bytes:
    return axdr.array(
        [
            axdr.structure(axdr.uint16(index), axdr.octet_string(octets), axdr.uint8(day))
            for index, (octets, day) in sorted(meter.state.special_days.items())
        ]
    )


def _entry(value: Any) -> tuple[int, tuple[bytes, int]]:
    match value:
        case axdr.Structure((int(index), bytes(octets), int(day))) if len(octets) == 5:
            return index, (octets, day)
    raise Refused(Result.TYPE_UNMATCHED)


def _change_special(meter: SimulatedMeter, change: Callable[[dict[int, tuple[bytes, int]]], None]) -> None:
    days = dict(meter.state.special_days)
    change(days)
    if len(days) > _MOST_SPECIAL_DAYS:
        raise Refused(Result.OTHER_REASON)
    before, meter.state.special_days = meter.state.special_days, days
    try:
        _count_from(meter, int(meter.now()), meter.conditions.tariff.eras[-1][1], _special_of(meter))
    except Refused:
        meter.state.special_days = before
        raise


def _set_special_days(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    entries = dict(map(_entry, _list(value)))

    def change(days: dict[int, tuple[bytes, int]]) -> None:
        days.clear()
        days.update(entries)

    _change_special(meter, change)


def _insert(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    index, entry = _entry(axdr.decode(parameters or b""))
    _change_special(meter, lambda days: days.update({index: entry}))


def _delete(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    index = number_of(parameters, axdr.LONG_UNSIGNED, 0, 0xFFFF)
    if index not in meter.state.special_days:
        raise Refused(Result.OBJECT_UNDEFINED)
    _change_special(meter, lambda days: days.pop(index, None) and None)
