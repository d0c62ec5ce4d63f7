"""Plain data that tells meters apart: logical device name, nameplate, invocation counters, event status word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.events import ESW_BITS, encode_esw
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef, Obis
from simulators.event_log import status_bits
from simulators.objects import CosemObject, Read, data

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter
    from simulators.world import Sites

LOGICAL_DEVICE_NAME: Final = Obis(0, 0, 42, 0, 0)
_YEAR: Final = 2025
_CATEGORIES: Final = {1: "D1", 3: "D2"}
_CATEGORY_BEHIND_TRANSFORMERS: Final = "D3"

_NAMEPLATE: Final[dict[Obis, Read]] = {
    Obis(0, 0, 94, 91, 9): lambda *_: axdr.uint8(5),
    Obis(0, 0, 94, 91, 11): lambda meter, _: axdr.visible_string(_category(meter)),
    Obis(0, 0, 94, 91, 12): lambda meter, _: axdr.visible_string("-/5A" if meter.meter_type.ratios else "10-60A"),
    Obis(0, 0, 96, 1, 4): lambda *_: axdr.uint16(_YEAR),
    Obis(1, 0, 0, 4, 2): lambda meter, _: axdr.uint16(int(_sites(meter).current_ratio[meter.identity.index])),
    Obis(1, 0, 0, 4, 3): lambda meter, _: axdr.uint16(int(_sites(meter).voltage_ratio[meter.identity.index])),
}
"""What nameplates say beside names: type, category, current rating, year of manufacture, transformer ratios."""


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    captured = {one.obis for profile in meter_type.of_kind("nameplate") for one in profile.capture_objects}
    return {
        LOGICAL_DEVICE_NAME: data(lambda meter, _: axdr.octet_string(meter.identity.serial.encode()), public=True),
        **{obis: data(read) for obis, read in _NAMEPLATE.items() if obis in captured},
        **_named(meter_type.device_id, lambda meter, _: axdr.visible_string(meter.identity.device_id)),
        **_named(meter_type.maker, lambda meter, _: axdr.visible_string(meter.maker_name)),
        **_named(meter_type.firmware, lambda meter, _: axdr.octet_string(meter.firmware.encode()), public=True),
        **_named(meter_type.serial, lambda meter, _: axdr.visible_string(meter.identity.serial), public=True),
        **_status_word(meter_type),
        **{
            kind.invocation_counter: data(lambda meter, _: axdr.uint32(meter.last_received), public=True)
            for kind in meter_type.associations.values()
            if kind.invocation_counter is not None
        },
    }


def _named(attribute: AttributeRef | None, read: Read, *, public: bool = False) -> dict[Obis, CosemObject]:
    return {} if attribute is None else {attribute.obis: data(read, public=public)}


def _status_word(meter_type: MeterType) -> dict[Obis, CosemObject]:
    """The event status word of the type, if it has one."""
    status = meter_type.status_word
    return {} if status is None else {status.word.obis: data(lambda meter, _: _bits(meter))}


def _bits(meter: SimulatedMeter) -> bytes:
    word = int.from_bytes(encode_esw(status_bits(meter)), "big")
    return axdr.bit_string(f"{word:0{ESW_BITS}b}")


def _sites(meter: SimulatedMeter) -> Sites:
    return meter.conditions.world.sites


def _category(meter: SimulatedMeter) -> str:
    if meter.meter_type.ratios is not None:
        return _CATEGORY_BEHIND_TRANSFORMERS
    return _CATEGORIES[int(_sites(meter).phases[meter.identity.index])]
