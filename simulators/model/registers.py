"""The captured objects themselves (Blue Book, classes 1, 3 and 4): whatever profiles capture can be read alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.meter_type import MeterType, Profile
from profiles.objects import CaptureObject, Obis
from simulators import event_log
from simulators.objects import DATA, EXTENDED_REGISTER, REGISTER, Attribute, CosemObject, Read
from simulators.quantities import Measure, quantity_of
from simulators.registers import MAKERS, registers_of
from simulators.rows import scaler_unit

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

_VALUE, _SCALER_UNIT, _STATUS, _CAPTURE_TIME = 2, 3, 4, 5
_FULL: Final = MAKERS[0]
"""A maker whose meters have every column."""


def objects(meter_type: MeterType, known: Collection[Obis]) -> dict[Obis, CosemObject]:
    """One for each captured object that is not `known` yet; of an object of two classes, the first that captures it."""
    found: dict[Obis, CosemObject] = {}
    for profile in meter_type.profiles.values():
        for register in registers_of(meter_type, profile, _FULL):
            captured = register.captured
            if captured.obis not in known and captured.obis not in found:
                made = _object(captured, profile)
                found |= {} if made is None else {captured.obis: made}
    return found


def _object(captured: CaptureObject, profile: Profile) -> CosemObject | None:
    obis = captured.obis
    if captured.class_id == DATA:
        return CosemObject(DATA, {_VALUE: Attribute(_of_events(captured, profile) or _value(obis, _VALUE))})
    if captured.class_id not in (REGISTER, EXTENDED_REGISTER):
        return None
    attributes = {_VALUE: Attribute(_value(obis, _VALUE)), _SCALER_UNIT: Attribute(_scaler(obis))}
    if captured.class_id == EXTENDED_REGISTER:
        attributes |= {
            _STATUS: Attribute(lambda *_: axdr.null()),
            _CAPTURE_TIME: Attribute(_value(obis, _CAPTURE_TIME)),
        }
    return CosemObject(captured.class_id, attributes)


def _value(obis: Obis, attribute: int) -> Read:
    def read(meter: SimulatedMeter, _: object) -> bytes:
        register = meter.columns.of_object(obis, attribute, meter.identity.maker)
        if register is not None:
            return meter.reading(register)
        return axdr.octet_string(meter.clock_octets()) if attribute == _CAPTURE_TIME else axdr.null()

    return read


def _scaler(obis: Obis) -> Read:
    def read(meter: SimulatedMeter, _: object) -> bytes:
        register = meter.columns.of_object(obis, _VALUE, meter.identity.maker)
        if register is None or register.scaler is None:
            return axdr.structure(axdr.int8(0), axdr.enum(255))
        return scaler_unit(register)

    return read


def _of_events(captured: CaptureObject, profile: Profile) -> Read | None:
    """The last code of a log, or how many entries it has had."""
    measure = quantity_of(captured).measure
    if measure is Measure.EVENT_CODE and profile.event_log is not None:
        return lambda meter, _: axdr.uint16(event_log.last_code(meter, profile))
    if measure is Measure.EVENT_NUMBER and profile.event_log is not None:
        return lambda meter, _: axdr.uint16(event_log.last_number(meter, profile))
    return None
