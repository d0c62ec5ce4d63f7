"""Plain data that clients write: periods, modes, prepayment, the status word's filter, the message to the consumer.

The one rule: what is written must be of the type that the object has; what it is for does not matter to the meter but
where an event says that it was set, or where the setting is a period.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.events import ESW_BITS
from profiles.meter_type import Association, MeterType
from profiles.objects import Obis
from simulators import event_log
from simulators.objects import DATA, CosemObject, data, number_of, octets_of
from simulators.refusals import Refused, Result

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

BLOCK_PERIOD: Final = Obis(1, 0, 0, 8, 4)
DEMAND_PERIOD: Final = Obis(1, 0, 0, 8, 0)
MESSAGE: Final = Obis(0, 0, 96, 13, 0)
MAX_MESSAGE: Final = 32_768
"""Octets of the message to the consumer: enough for a write in many blocks."""
_MAX_SETTING: Final = 64

METERING_MODE, PAYMENT_MODE, FILTER = Obis(0, 0, 94, 96, 19), Obis(0, 0, 94, 96, 20), Obis(0, 0, 94, 91, 26)
_NEVER: Final = axdr.octet_string(b"\xff" * 9 + b"\x80\x00\xff")
_AT_FIRST: Final = {
    Obis(1, 0, 0, 8, 5): axdr.uint32(86_400),
    METERING_MODE: axdr.uint8(0),
    PAYMENT_MODE: axdr.uint8(0),
    FILTER: axdr.bit_string("1" * ESW_BITS),
    **{Obis(0, 0, 94, group, base + 1): _NEVER for group, base in ((96, 21), (91, 21))},
    **{Obis(0, 0, 94, group, base + 4): _NEVER for group, base in ((96, 21), (91, 21))},
}
"""What settings hold that nobody has written; all others the number 0."""
_EVENTS: Final = {FILTER: (event_log.FILTER_CHANGED,), PAYMENT_MODE: (211, 212), METERING_MODE: (213, 214)}
"""Of a setting: its event; of a mode: one for each of its values."""


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    controls = {one.obis for one in meter_type.controls.values() if one.class_id == DATA}
    filters = {meter_type.status_word.filter.obis} if meter_type.status_word else set()
    return {
        **{obis: _setting(obis) for obis in sorted(controls | filters)},
        BLOCK_PERIOD: data(lambda meter, _: axdr.uint16(meter.period_s), _set_block_period),
        DEMAND_PERIOD: data(lambda meter, _: axdr.uint16(meter.conditions.demand_period_s), _set_demand_period),
        MESSAGE: data(lambda meter, _: axdr.octet_string(meter.state.message), _set_message),
    }


def _setting(obis: Obis) -> CosemObject:
    return data(lambda meter, _: _value(meter, obis), partial(_write, obis))


def _value(meter: SimulatedMeter, obis: Obis) -> bytes:
    return meter.state.settings.get(obis) or _AT_FIRST.get(obis) or axdr.uint32(0)


def _write(obis: Obis, meter: SimulatedMeter, _: Association, value: bytes) -> None:
    axdr.decode(value)
    if value[:1] != _value(meter, obis)[:1] or len(value) > _MAX_SETTING:
        raise Refused(Result.TYPE_UNMATCHED)
    if obis == FILTER and len(value) != len(_AT_FIRST[FILTER]):
        raise Refused(Result.OTHER_REASON)
    meter.state.settings[obis] = value
    codes = _EVENTS.get(obis, ())
    if len(codes) == 1 or (codes and value[1] < len(codes)):
        meter.note(codes[0] if len(codes) == 1 else codes[value[1]])


def _set_block_period(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    meter.set_period(number_of(value, axdr.LONG_UNSIGNED, 0, 0xFFFF))


def _set_demand_period(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    meter.conditions.demand_period_s = number_of(value, axdr.LONG_UNSIGNED, 60, 3600)
    meter.note(event_log.DEMAND_PERIOD_SET)


def _set_message(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    meter.state.message = octets_of(value, 0, MAX_MESSAGE)
