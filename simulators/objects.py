"""The COSEM objects of a simulated single-phase meter, and which of them each association sees.

The one rule: one logical name, one object, one table. What an attribute answers is a function of the meter and of the
association that asks; values that change with time or by test are methods of the meter. Shapes and types are those
seen on Indian meters (docs/meter-facts.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from drivers.dlms import axdr
from profiles.errors import SettingsError
from profiles.meter_type import Association, MeterType
from profiles.objects import CaptureObject, Obis
from simulators import block_load

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

Answer: TypeAlias = Callable[["SimulatedMeter", Association], bytes]
"""The A-XDR value of one attribute."""

DATA, PROFILE, CLOCK, ASSOCIATION = 1, 7, 8, 15
"""Class ids."""

LOGICAL_DEVICE_NAME = Obis(0, 0, 42, 0, 0)
SERIAL = Obis(0, 0, 96, 1, 0)
FIRMWARE = Obis(1, 0, 0, 2, 0)
CURRENT_ASSOCIATION = Obis(0, 0, 40, 0, 0)
BLOCK_PERIOD = Obis(1, 0, 0, 8, 4)

_NAMEPLATE: tuple[tuple[Obis, Answer], ...] = (
    (SERIAL, lambda meter, _: axdr.visible_string(meter.identity.serial)),
    (Obis(0, 0, 96, 1, 2), lambda meter, _: axdr.visible_string(meter.identity.device_id)),
    (Obis(0, 0, 96, 1, 1), lambda meter, _: axdr.visible_string(meter.identity.maker.name)),
    (FIRMWARE, lambda meter, _: axdr.octet_string(meter.identity.maker.firmware.encode())),
    (Obis(0, 0, 94, 91, 9), lambda meter, _: axdr.uint8(5)),
    (Obis(0, 0, 94, 91, 11), lambda meter, _: axdr.visible_string("D1")),
    (Obis(0, 0, 94, 91, 12), lambda meter, _: axdr.visible_string("10-60A")),
    (Obis(0, 0, 96, 1, 4), lambda meter, _: axdr.uint16(2025)),
)
"""Columns of the nameplate profile, each an object of its own as well."""

_VERSIONS = {PROFILE: 1, ASSOCIATION: 1}
_READ_ONLY = 1
"""Attribute access mode of the association's object list."""


@dataclass(frozen=True, slots=True)
class CosemObject:
    """One object: its class and the attributes that it answers (attribute 1, the logical name, is understood)."""

    class_id: int
    attributes: Mapping[int, Answer]


def object_model(meter_type: MeterType) -> dict[Obis, CosemObject]:
    """Every object of a meter of this type. Made once for all meters of a type; SettingsError without a block load."""
    block = meter_type.profiles.get("block_load")
    if block is None or block.scaler_obis is None or meter_type.nameplate is None:
        raise SettingsError(f"meter type {meter_type.name} lacks what a simulated meter has: nameplate, block load")
    names = [association.logical_name for association in meter_type.associations.values()]
    return {
        LOGICAL_DEVICE_NAME: _data(lambda meter, _: axdr.octet_string(meter.identity.serial.encode())),
        BLOCK_PERIOD: _data(lambda meter, _: axdr.uint16(meter.period_s)),
        meter_type.clock.obis: CosemObject(CLOCK, {2: lambda meter, _: axdr.octet_string(meter.clock_octets())}),
        **{obis: _data(answer) for obis, answer in _NAMEPLATE},
        **{obis: _data(lambda meter, _: axdr.uint32(meter.last_received)) for obis in _counters(meter_type)},
        **{name: CosemObject(ASSOCIATION, {2: _object_list}) for name in (CURRENT_ASSOCIATION, *names)},
        meter_type.nameplate: _one_row_profile(
            lambda meter: [CaptureObject(DATA, obis, 2) for obis, _ in _NAMEPLATE],
            lambda meter, association: axdr.structure(*(answer(meter, association) for _, answer in _NAMEPLATE)),
        ),
        block.obis: CosemObject(
            PROFILE,
            {
                2: lambda meter, _: axdr.array(meter.rows(None)),
                3: lambda meter, _: block_load.encode_capture_objects(meter.capture_objects()),
                4: lambda meter, _: axdr.uint32(meter.period_s),
                5: lambda meter, _: axdr.enum(1),
                6: lambda meter, _: block_load.encode_capture_object(block_load.CLOCK),
                7: lambda meter, _: axdr.uint32(len(meter.stored_starts())),
                8: lambda meter, _: axdr.uint32(meter.depth),
            },
        ),
        block.scaler_obis: _one_row_profile(
            lambda meter: block_load.scaler_objects(meter.identity.maker), lambda meter, _: meter.scaler_row()
        ),
    }


def visible(meter_type: MeterType, association: Association, obis: Obis) -> bool:
    """Whether the association may read the object: the public one sees what tells meters apart and no more."""
    if association.name != "public":
        return True
    return obis in {
        meter_type.clock.obis,
        association.logical_name,
        CURRENT_ASSOCIATION,
        LOGICAL_DEVICE_NAME,
        SERIAL,
        FIRMWARE,
        *_counters(meter_type),
    }


def _data(answer: Answer) -> CosemObject:
    return CosemObject(DATA, {2: answer})


def _one_row_profile(columns: Callable[[SimulatedMeter], Iterable[CaptureObject]], row: Answer) -> CosemObject:
    """A profile that always holds one row: nameplate, scalers."""
    return CosemObject(
        PROFILE,
        {
            2: lambda meter, association: axdr.array([row(meter, association)]),
            3: lambda meter, _: block_load.encode_capture_objects(columns(meter)),
            4: lambda meter, _: axdr.uint32(0),
            7: lambda meter, _: axdr.uint32(1),
            8: lambda meter, _: axdr.uint32(1),
        },
    )


def _counters(meter_type: MeterType) -> set[Obis]:
    associations = meter_type.associations.values()
    return {one.invocation_counter for one in associations if one.invocation_counter is not None}


def _object_list(meter: SimulatedMeter, association: Association) -> bytes:
    """Attribute 2 of the association: class, version, logical name and rights of all that it may read."""
    return axdr.array(
        [
            axdr.structure(
                axdr.uint16(entry.class_id),
                axdr.uint8(_VERSIONS.get(entry.class_id, 0)),
                axdr.octet_string(bytes(obis)),
                axdr.structure(axdr.array([_right(attribute) for attribute in (1, *entry.attributes)]), axdr.array([])),
            )
            for obis, entry in meter.objects.items()
            if visible(meter.meter_type, association, obis)
        ]
    )


def _right(attribute: int) -> bytes:
    return axdr.structure(axdr.int8(attribute), axdr.enum(_READ_ONLY), axdr.null())
