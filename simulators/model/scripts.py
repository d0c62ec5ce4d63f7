"""Script tables (Blue Book, class 9): numbered scripts that invoke methods of other objects of the meter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.meter_type import Association, MeterType
from profiles.objects import MethodRef, Obis
from simulators.objects import (
    DISCONNECT_CONTROL,
    IMAGE_TRANSFER,
    PROFILE,
    PUSH_SETUP,
    SCRIPT_TABLE,
    Attribute,
    CosemObject,
    number_of,
)
from simulators.refusals import Refused, Result

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

DEMAND_RESET: Final = Obis(0, 0, 10, 0, 1)
TARIFF: Final = Obis(0, 0, 10, 0, 100)
SWITCH: Final = Obis(0, 0, 10, 0, 106)
IMAGE: Final = Obis(0, 0, 10, 0, 107)
PUSH: Final = Obis(0, 0, 10, 0, 108)

_EXECUTE_METHOD: Final = 2
"""service_id of a script's action."""
_RATES: Final = 8

Scripts = Mapping[int, MethodRef | None]
"""By number: the method that a script invokes; None for one that the calendar alone executes."""


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    """The tables that the type names, and that of its load switch; a table that is not known has no scripts."""
    named = {one.obis: one.association for one in meter_type.controls.values() if one.class_id == SCRIPT_TABLE}
    switches = [one for one in meter_type.controls.values() if one.class_id == DISCONNECT_CONTROL]
    named |= {SWITCH: switches[0].association} if switches else {}
    return {obis: _table(_scripts(meter_type, obis), owner) for obis, owner in named.items()}


def _scripts(meter_type: MeterType, obis: Obis) -> Scripts:
    of_class = {one.class_id: one.obis for one in meter_type.controls.values()}
    if obis == DEMAND_RESET:
        return {number: MethodRef(PROFILE, one.obis, 2) for number, one in enumerate(meter_type.of_kind("billing"), 1)}
    if obis == SWITCH:
        return {number: MethodRef(DISCONNECT_CONTROL, of_class[DISCONNECT_CONTROL], number) for number in (1, 2)}
    if obis == IMAGE and IMAGE_TRANSFER in of_class:
        return {1: MethodRef(IMAGE_TRANSFER, of_class[IMAGE_TRANSFER], 4)}
    if obis == PUSH:
        setups = [one.obis for one in meter_type.pushes.values() if one.obis is not None]
        return {number: MethodRef(PUSH_SETUP, setup, 1) for number, setup in enumerate(setups, 1)}
    return dict.fromkeys(range(1, _RATES + 1)) if obis == TARIFF else {}


def _table(scripts: Scripts, owner: str) -> CosemObject:
    def execute(meter: SimulatedMeter, kind: Association, parameters: bytes | None) -> None:
        number = number_of(parameters, axdr.LONG_UNSIGNED, 0, 0xFFFF)
        if number not in scripts:
            raise Refused(Result.OBJECT_UNDEFINED)
        run(meter, kind, scripts[number])

    encoded = axdr.array([_script(number, method) for number, method in scripts.items()])
    return CosemObject(SCRIPT_TABLE, {2: Attribute(lambda *_: encoded)}, {1: execute}, owner=owner)


def run(meter: SimulatedMeter, kind: Association, method: MethodRef | None) -> None:
    """Invoke the method of a script, whoever may call it otherwise."""
    if method is None:
        raise Refused(Result.OTHER_REASON)
    meter.objects[method.obis].methods[method.method](meter, kind, axdr.int8(0))


def _script(number: int, method: MethodRef | None) -> bytes:
    actions = []
    if method is not None:
        actions.append(
            axdr.structure(
                axdr.enum(_EXECUTE_METHOD),
                axdr.uint16(method.class_id),
                axdr.octet_string(bytes(method.obis)),
                axdr.int8(method.method),
                axdr.int8(0),
            )
        )
    return axdr.structure(axdr.uint16(number), axdr.array(actions))
