"""Image transfer (Blue Book, class 18): a new firmware, block by block, verified, and put to use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.meter_type import Association, MeterType
from profiles.objects import Obis
from simulators.event_log import FIRMWARE_ACTIVATED
from simulators.image import BLOCK_OCTETS, MAX_IMAGE, Status
from simulators.objects import IMAGE_TRANSFER, Attribute, CosemObject, Invoke
from simulators.refusals import Refused, Result

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

_MAX_IDENTIFIER: Final = 64


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    resumes = meter_type.session_habit.image_resume
    attributes = {
        2: Attribute(lambda *_: axdr.uint32(BLOCK_OCTETS)),
        3: Attribute(lambda meter, _: axdr.bit_string("".join("01"[each] for each in meter.state.image.there))),
        4: Attribute((lambda meter, _: axdr.uint32(meter.state.image.first_missing)) if resumes else None),
        5: Attribute(lambda meter, _: axdr.boolean(meter.state.image.enabled), _enable),
        6: Attribute(lambda meter, _: axdr.enum(meter.state.image.status)),
        7: Attribute(lambda meter, _: _to_activate(meter)),
    }
    methods: dict[int, Invoke] = {1: _initiate, 2: _take_block, 3: _verify, 4: lambda meter, *_: activate(meter)}
    return {
        one.obis: CosemObject(IMAGE_TRANSFER, attributes, methods, owner=one.association)
        for one in meter_type.controls.values()
        if one.class_id == IMAGE_TRANSFER
    }


def _enable(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    enabled = axdr.decode(value)
    if not isinstance(enabled, bool):
        raise Refused(Result.TYPE_UNMATCHED)
    meter.state.image.enabled = enabled


def _to_activate(meter: SimulatedMeter) -> bytes:
    image = meter.state.image
    if image.status is not Status.VERIFICATION_SUCCESSFUL:
        return axdr.array([])
    size, identifier = axdr.uint32(len(image.octets)), axdr.octet_string(image.identifier)
    return axdr.array([axdr.structure(size, identifier, axdr.octet_string(image.signature))])


def _initiate(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    match axdr.decode(parameters or b""):
        case axdr.Structure((bytes(identifier), int(size))):
            if not meter.state.image.enabled or len(identifier) > _MAX_IDENTIFIER or not 0 < size <= MAX_IMAGE:
                raise Refused(Result.OTHER_REASON)
            meter.state.image.initiate(identifier, size)
        case _:
            raise Refused(Result.TYPE_UNMATCHED)


def _take_block(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    match axdr.decode(parameters or b""):
        case axdr.Structure((int(number), bytes(block))):
            image = meter.state.image
            if image.status is not Status.INITIATED or number < 0 or not image.take(number, block):
                raise Refused(Result.OTHER_REASON)
        case _:
            raise Refused(Result.TYPE_UNMATCHED)


def _verify(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    image = meter.state.image
    if image.status is Status.NOT_INITIATED or not image.verify(meter.identity.maker.flag):
        raise Refused(Result.OTHER_REASON)


def activate(meter: SimulatedMeter) -> None:
    """Put the image that was verified to use. Refused where there is none."""
    image = meter.state.image
    if image.status is not Status.VERIFICATION_SUCCESSFUL:
        raise Refused(Result.OTHER_REASON)
    image.status = Status.ACTIVATION_SUCCESSFUL
    meter.state.firmware = image.identifier
    meter.note(FIRMWARE_ACTIVATED)
