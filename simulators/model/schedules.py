"""Single action schedules (Blue Book, class 22): when billing periods end, when an image is put to use."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.meter_type import Association, MeterType
from profiles.objects import Obis
from simulators.conditions import ANY, LAST_DAY, SECOND_LAST_DAY, BillingDate
from simulators.event_log import BILLING_DATES_SET, IMAGE_SCHEDULE_CHANGED
from simulators.model.scripts import DEMAND_RESET, IMAGE, PUSH
from simulators.objects import SINGLE_ACTION_SCHEDULE, Attribute, CosemObject
from simulators.refusals import Refused, Result

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

BILLING_DATES, IMAGE_ACTIVATION, PUSH_TIMES = Obis(0, 0, 15, 0, 0), Obis(0, 0, 15, 0, 2), Obis(0, 0, 15, 0, 4)
_SCRIPTS: Final = {BILLING_DATES: DEMAND_RESET, IMAGE_ACTIVATION: IMAGE, PUSH_TIMES: PUSH}
_ONE_TIME: Final = 1
_MOST_TIMES, _MOST_CHANGES = 31, 32
_MIDNIGHT: Final = bytes(4)
_FIRST_OF_MONTH: Final = bytes((0xFF, 0xFF, ANY, 1, ANY))
_AT_FIRST: Final = {BILLING_DATES: ((_MIDNIGHT, _FIRST_OF_MONTH),)}

Times = tuple[tuple[bytes, bytes], ...]
"""Four octets of a time of day and five of a date, each."""


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    return {
        one.obis: _schedule(one.obis, one.association)
        for one in meter_type.controls.values()
        if one.class_id == SINGLE_ACTION_SCHEDULE
    }


def _schedule(obis: Obis, owner: str) -> CosemObject:
    script = axdr.structure(axdr.octet_string(bytes(_SCRIPTS.get(obis, DEMAND_RESET))), axdr.uint16(1))
    attributes = {
        2: Attribute(lambda *_: script),
        3: Attribute(lambda *_: axdr.enum(_ONE_TIME)),
        4: Attribute(lambda meter, _: _times(meter, obis), partial(_set_times, obis)),
    }
    return CosemObject(SINGLE_ACTION_SCHEDULE, attributes, owner=owner)


def _times(meter: SimulatedMeter, obis: Obis) -> bytes:
    times = meter.state.schedules.get(obis, _AT_FIRST.get(obis, ()))
    return axdr.array([axdr.structure(axdr.octet_string(time), axdr.octet_string(day)) for time, day in times])


def _set_times(obis: Obis, meter: SimulatedMeter, _: Association, value: bytes) -> None:
    times = _parsed(value)
    if obis == BILLING_DATES:
        _set_billing_dates(meter, times)
    elif obis == IMAGE_ACTIVATION:
        _set_image_activation(meter, times)
    meter.state.schedules[obis] = times


def _parsed(value: bytes) -> Times:
    found = axdr.decode(value)
    if not isinstance(found, list):
        raise Refused(Result.TYPE_UNMATCHED)
    if len(found) > _MOST_TIMES:
        raise Refused(Result.OTHER_REASON)
    times = []
    for one in found:
        match one:
            case axdr.Structure((bytes(time), bytes(day))) if len(time) == 4 and len(day) == 5:
                times.append((time, day))
            case _:
                raise Refused(Result.TYPE_UNMATCHED)
    return tuple(times)


def _set_billing_dates(meter: SimulatedMeter, times: Times) -> None:
    """From now on; what has ended by the dates so far has ended."""
    dates = meter.conditions.billing_dates
    if len(times) != 1 or len(dates) >= _MOST_CHANGES:
        raise Refused(Result.OTHER_REASON)
    ((time, day),) = times
    year, month, number = int.from_bytes(day[:2], "big"), day[2], day[3]
    if not (1 <= number <= 31 or number in (LAST_DAY, SECOND_LAST_DAY)) or not (1 <= month <= 12 or month == ANY):
        raise Refused(Result.OTHER_REASON)
    if time[0] > 23 or time[1] > 59:
        raise Refused(Result.OTHER_REASON)
    second = time[0] * 3600 + time[1] * 60 + time[2] % ANY
    meter.conditions.billing_dates = (*dates, BillingDate(int(meter.now()), year, month, number, second))
    meter.note(BILLING_DATES_SET)


def _set_image_activation(meter: SimulatedMeter, times: Times) -> None:
    if len(times) > 1:
        raise Refused(Result.OTHER_REASON)
    octets = [day + time + b"\x80\x00\x00" for time, day in times]
    meter.state.image_at = meter.conditions.stamps.read(octets[0]) if octets else None
    meter.note(IMAGE_SCHEDULE_CHANGED)
