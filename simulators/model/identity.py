"""Plain data: what tells meters apart, invocation counters, and settings that clients write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.meter_type import Association, MeterType
from profiles.objects import Obis
from simulators import event_log
from simulators.objects import CosemObject, Read, data, number_of, octets_of

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

LOGICAL_DEVICE_NAME: Final = Obis(0, 0, 42, 0, 0)
SERIAL: Final = Obis(0, 0, 96, 1, 0)
FIRMWARE: Final = Obis(1, 0, 0, 2, 0)
BLOCK_PERIOD: Final = Obis(1, 0, 0, 8, 4)
DEMAND_PERIOD: Final = Obis(1, 0, 0, 8, 0)
MESSAGE: Final = Obis(0, 0, 96, 13, 0)
STATUS_BITS: Final = 128
MAX_MESSAGE: Final = 32_768
"""Octets of the message to the consumer: enough for a write in many blocks."""

NAMEPLATE: Final[tuple[tuple[Obis, Read], ...]] = (
    (SERIAL, lambda meter, _: axdr.visible_string(meter.identity.serial)),
    (Obis(0, 0, 96, 1, 2), lambda meter, _: axdr.visible_string(meter.identity.device_id)),
    (Obis(0, 0, 96, 1, 1), lambda meter, _: axdr.visible_string(meter.identity.maker.name)),
    (FIRMWARE, lambda meter, _: axdr.octet_string(meter.state.firmware or meter.identity.maker.firmware.encode())),
    (Obis(0, 0, 94, 91, 9), lambda meter, _: axdr.uint8(5)),
    (Obis(0, 0, 94, 91, 11), lambda meter, _: axdr.visible_string("D1")),
    (Obis(0, 0, 94, 91, 12), lambda meter, _: axdr.visible_string("10-60A")),
    (Obis(0, 0, 96, 1, 4), lambda meter, _: axdr.uint16(2025)),
)
"""Columns of the nameplate profile, each an object of its own as well."""

_PUBLIC: Final = (SERIAL, FIRMWARE)


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    return {
        LOGICAL_DEVICE_NAME: data(lambda meter, _: axdr.octet_string(meter.identity.serial.encode()), public=True),
        BLOCK_PERIOD: data(lambda meter, _: axdr.uint16(meter.period_s), _set_block_period),
        DEMAND_PERIOD: data(lambda meter, _: axdr.uint16(meter.state.demand_period_s), _set_demand_period),
        MESSAGE: data(lambda meter, _: axdr.octet_string(meter.state.message), _set_message),
        event_log.EVENT_CODE.obis: data(lambda meter, _: axdr.uint16(event_log.last_code(meter))),
        **{obis: data(read, public=obis in _PUBLIC) for obis, read in NAMEPLATE},
        **_status_word(meter_type),
        **{
            kind.invocation_counter: data(lambda meter, _: axdr.uint32(meter.last_received), public=True)
            for kind in meter_type.associations.values()
            if kind.invocation_counter is not None
        },
    }


def _status_word(meter_type: MeterType) -> dict[Obis, CosemObject]:
    """The event status word of the type, if it has one: nothing is wrong with the meter."""
    status = meter_type.status_word
    return {} if status is None else {status.word.obis: data(lambda *_: axdr.bit_string("0" * STATUS_BITS))}


def _set_block_period(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    meter.set_period(number_of(value, axdr.LONG_UNSIGNED, 0, 0xFFFF))


def _set_demand_period(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    meter.state.demand_period_s = number_of(value, axdr.LONG_UNSIGNED, 60, 3600)


def _set_message(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    meter.state.message = octets_of(value, 0, MAX_MESSAGE)
