"""Push setups (Blue Book, class 40, version 0): one for each push of the meter's type, which can be set and set off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from drivers.dlms.profile_buffer import decode_capture_objects
from profiles.errors import ProtocolError
from profiles.meter_type import Association, MeterType, Push
from profiles.objects import Obis
from simulators.objects import PUSH_SETUP, Attribute, CosemObject
from simulators.push import columns_of
from simulators.refusals import Refused, Result
from simulators.rows import encode_capture_objects
from simulators.state import HDLC, TCP, UDP, Destination

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

MAX_ADDRESS: Final = 64
MAX_OBJECTS: Final = 200
_AXDR: Final = 0
"""The message is an APDU in A-XDR."""


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    return {
        found.obis: _setup(meter_type, found, found.obis)
        for found in meter_type.pushes.values()
        if found.obis is not None
    }


def _setup(meter_type: MeterType, found: Push, obis: Obis) -> CosemObject:
    usual = tuple(column.captured for column in columns_of(meter_type, found))

    def listed(meter: SimulatedMeter, _: Association) -> bytes:
        return encode_capture_objects(meter.state.push_lists.get(obis, usual))

    def set_listed(meter: SimulatedMeter, _: Association, value: bytes) -> None:
        try:
            meter.state.push_lists[obis] = decode_capture_objects(value)[:MAX_OBJECTS]
        except ProtocolError:
            raise Refused(Result.TYPE_UNMATCHED) from None

    def destination(meter: SimulatedMeter, _: Association) -> bytes:
        to = meter.state.push_to.get(obis, Destination())
        return axdr.structure(axdr.enum(to.service), axdr.octet_string(to.address), axdr.enum(_AXDR))

    def set_destination(meter: SimulatedMeter, _: Association, value: bytes) -> None:
        meter.state.push_to[obis] = _destination_of(value)

    def push(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
        if obis not in meter.state.push_to:
            raise Refused(Result.OTHER_REASON)
        meter.call_out(found.name, meter.state.push_to[obis])

    return CosemObject(
        PUSH_SETUP,
        {
            2: Attribute(listed, set_listed),
            3: Attribute(destination, set_destination),
            4: Attribute(lambda *_: axdr.array([])),
            5: Attribute(lambda *_: axdr.uint16(0)),
            6: Attribute(lambda *_: axdr.uint8(0)),
            7: Attribute(lambda *_: axdr.uint16(0)),
        },
        {1: push},
    )


def _destination_of(value: bytes) -> Destination:
    match axdr.decode(value):
        case axdr.Structure((int(service), bytes(address), int(message))) if message == _AXDR:
            if service not in (TCP, UDP, HDLC) or len(address) > MAX_ADDRESS:
                raise Refused(Result.OTHER_REASON)
            return Destination(service, address)
    raise Refused(Result.TYPE_UNMATCHED)
