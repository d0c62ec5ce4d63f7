"""The clock (Blue Book, class 8): it can be set, and pushed to whole minutes and periods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.meter_type import Association, MeterType
from profiles.objects import Obis
from simulators.objects import CLOCK, Attribute, CosemObject, Invoke, number_of
from simulators.refusals import Refused, Result
from simulators.stamps import standard_offset, summer_time

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

_NEVER: Final = axdr.octet_string(b"\xff" * 9 + b"\x80\x00\xff")
"""A date-time of wildcards: there is no summer time."""
_SUMMER_BEGINS: Final = axdr.octet_string(bytes.fromhex("ffff03fe0702000000800000"))
_SUMMER_ENDS: Final = axdr.octet_string(bytes.fromhex("ffff0afe0703000000800080"))
"""The last Sundays of March and October, as in Europe, by the wall clock."""
_INTERNAL_CRYSTAL: Final = 1
_LARGEST_SHIFT_S: Final = 900


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    zone = meter_type.zone
    saved = summer_time(zone)
    attributes = {
        2: Attribute(lambda meter, _: axdr.octet_string(meter.clock_octets()), _set_time),
        3: Attribute(lambda *_: axdr.int16(-standard_offset(zone) // 60)),
        4: Attribute(lambda *_: axdr.uint8(0)),
        5: Attribute(lambda *_: _NEVER if saved is None else _SUMMER_BEGINS),
        6: Attribute(lambda *_: _NEVER if saved is None else _SUMMER_ENDS),
        7: Attribute(lambda *_: axdr.int8(0 if saved is None else saved // 60)),
        8: Attribute(lambda *_: axdr.boolean(saved is not None)),
        9: Attribute(lambda *_: axdr.enum(_INTERNAL_CRYSTAL)),
    }
    methods: dict[int, Invoke] = {1: _to_quarter, 2: _to_period, 3: _to_minute, 6: _shift}
    return {meter_type.clock.obis: CosemObject(CLOCK, attributes, methods, public=True)}


def _set_time(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    found = axdr.decode(value)
    if not isinstance(found, bytes) or value[:1] not in (bytes([axdr.OCTET_STRING]), bytes([axdr.DATE_TIME])):
        raise Refused(Result.TYPE_UNMATCHED)
    meter.set_clock(meter.conditions.stamps.read(found))


def _to_quarter(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    _round(meter, 900)


def _to_period(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    _round(meter, meter.period_s)


def _to_minute(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    _round(meter, 60)


def _shift(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    meter.set_clock(meter.now() + number_of(parameters, axdr.LONG, -_LARGEST_SHIFT_S, _LARGEST_SHIFT_S))


def _round(meter: SimulatedMeter, step_s: int) -> None:
    """To the nearest multiple, half a step ahead at most (Blue Book, class 8, adjust_to_...)."""
    meter.set_clock((meter.now() + step_s / 2) // step_s * step_s)
