"""The associations as objects (Blue Book, class 15, version 2), and the logical devices (class 17)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from drivers.dlms import apdu, axdr
from drivers.dlms.security import Secret
from profiles.meter_type import Association, MeterType
from profiles.objects import Obis
from simulators import event_log
from simulators.model.security_setup import setup_of
from simulators.objects import (
    ASSOCIATION,
    CURRENT_ASSOCIATION,
    SAP_ASSIGNMENT,
    Attribute,
    CosemObject,
    Invoke,
    Read,
    Write,
    is_visible,
    may_change,
    octets_of,
)
from simulators.refusals import Refused, Result

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

SAPS: Final = Obis(0, 0, 41, 0, 0)

_OID: Final = bytes.fromhex("6085740508")
"""joint-iso-ccitt(2) country(16) country-name(756) identified-organisation(5) DLMS-UA(8)."""
_CONTEXT: Final = b"\x01"
_MECHANISM: Final = b"\x02"
_NON_ASSOCIATED, _ASSOCIATED = 0, 2
_READ, _WRITE, _CALL = 1, 2, 1
"""Bits of an access mode of an attribute, and the one of a method, in version 2."""
_LLS: Final = 1
_VERSION: Final = 2


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    """One object for each association, and 0.0.40.0.0.255 for the one that asks."""
    kinds = {kind.logical_name: kind for kind in meter_type.associations.values()}
    return {
        **{name: _association(kind) for name, kind in kinds.items()},
        CURRENT_ASSOCIATION: _association(None),
        SAPS: CosemObject(SAP_ASSIGNMENT, {2: Attribute(_saps)}, public=True),
    }


def _association(whose: Association | None) -> CosemObject:
    """`whose`: the association that the object tells of; None for the one that asks."""

    def of(read: Read) -> Read:
        return lambda meter, asking: read(meter, whose or asking)

    def written(write: Write) -> Write:
        return lambda meter, asking, value: write(meter, whose or asking, value)

    def method(invoke: Invoke) -> Invoke:
        return lambda meter, asking, parameters: invoke(meter, whose or asking, parameters)

    return CosemObject(
        ASSOCIATION,
        {
            2: Attribute(of(_object_list)),
            3: Attribute(of(_partners)),
            4: Attribute(of(lambda _, kind: axdr.octet_string(_OID + _CONTEXT + bytes([3 if kind.protected else 1])))),
            5: Attribute(of(_context_info)),
            6: Attribute(of(lambda _, kind: axdr.octet_string(_OID + _MECHANISM + bytes([kind.mechanism])))),
            7: Attribute(None, written(_set_secret)),
            8: Attribute(of(_status)),
            9: Attribute(of(lambda _, kind: axdr.octet_string(bytes(setup_of(kind))))),
            10: Attribute(lambda meter, _: axdr.array([_user(*user) for user in meter.state.users.items()])),
            11: Attribute(lambda *_: _user(0, "")),
        },
        {
            1: _reply_to_hls,
            2: method(_change_secret),
            5: method(_add_user),
            6: method(_remove_user),
        },
        _VERSION,
    )


def _object_list(meter: SimulatedMeter, kind: Association) -> bytes:
    """Class, version, logical name and rights of all that the association sees."""
    return axdr.array(
        [
            axdr.structure(
                axdr.uint16(entry.class_id),
                axdr.uint8(entry.version),
                axdr.octet_string(bytes(obis)),
                _rights(entry, kind),
            )
            for obis, entry in meter.objects.items()
            if is_visible(entry, obis, kind)
        ]
    )


def _rights(entry: CosemObject, kind: Association) -> bytes:
    changes = may_change(entry, kind)
    attributes = [axdr.structure(axdr.int8(1), axdr.enum(_READ), axdr.null())]
    for index, attribute in entry.attributes.items():
        mode = (_READ if attribute.read else 0) | (_WRITE if attribute.write and changes else 0)
        selectors = axdr.array([axdr.int8(one) for one in attribute.selectors]) if attribute.selectors else axdr.null()
        attributes.append(axdr.structure(axdr.int8(index), axdr.enum(mode), selectors))
    methods = [axdr.structure(axdr.int8(index), axdr.enum(_CALL if changes else 0)) for index in entry.methods]
    return axdr.structure(axdr.array(attributes), axdr.array(methods))


def _partners(meter: SimulatedMeter, kind: Association) -> bytes:
    return axdr.structure(axdr.int8(kind.client_sap), axdr.uint16(meter.meter_type.server_sap))


def _context_info(meter: SimulatedMeter, kind: Association) -> bytes:
    max_pdu = axdr.uint16(meter.max_pdu(kind))
    return axdr.structure(
        axdr.bit_string(f"{int(meter.agreed(kind)):024b}"),
        max_pdu,
        max_pdu,
        axdr.uint8(apdu.DLMS_VERSION),
        axdr.int8(0),
        axdr.octet_string(b""),
    )


def _status(meter: SimulatedMeter, kind: Association) -> bytes:
    if kind.pre_established or meter.holds(kind):
        return axdr.enum(_ASSOCIATED)
    return axdr.enum(_NON_ASSOCIATED)


def _set_secret(meter: SimulatedMeter, kind: Association, value: bytes) -> None:
    """The password of LLS. An HLS secret goes by a method, which asks more of who calls it."""
    if kind.mechanism != _LLS:
        raise Refused(Result.READ_WRITE_DENIED)
    meter.keys = replace(meter.keys, lls=Secret(octets_of(value, 8, 16)))
    meter.note(event_log.LLS_CHANGED)


def _change_secret(meter: SimulatedMeter, kind: Association, parameters: bytes | None) -> None:
    if kind.mechanism <= _LLS:
        raise Refused(Result.READ_WRITE_DENIED)
    meter.keys = replace(meter.keys, hls=Secret(octets_of(parameters, 16, 16)))
    firmware = kind.name == "firmware_upgrade"
    meter.note(event_log.FIRMWARE_HLS_CHANGED if firmware else event_log.HLS_CHANGED)


def _reply_to_hls(meter: SimulatedMeter, kind: Association, parameters: bytes | None) -> None:
    """Listed for what it is in an HLS; outside of one there is nothing to reply to."""
    raise Refused(Result.READ_WRITE_DENIED)


def _add_user(meter: SimulatedMeter, kind: Association, parameters: bytes | None) -> None:
    number, name = _user_of(parameters)
    meter.state.users[number] = name


def _remove_user(meter: SimulatedMeter, kind: Association, parameters: bytes | None) -> None:
    number, _ = _user_of(parameters)
    if meter.state.users.pop(number, None) is None:
        raise Refused(Result.OBJECT_UNDEFINED)


def _user(number: int, name: str) -> bytes:
    return axdr.structure(axdr.uint8(number), axdr.visible_string(name))


def _user_of(parameters: bytes | None) -> tuple[int, str]:
    match axdr.decode(parameters or b""):
        case axdr.Structure((int(number), str(name))) if 0 <= number <= 255:
            return number, name
    raise Refused(Result.TYPE_UNMATCHED)


def _saps(meter: SimulatedMeter, kind: Association) -> bytes:
    name = axdr.octet_string(meter.identity.serial.encode())
    return axdr.array([axdr.structure(axdr.uint16(meter.meter_type.server_sap), name)])
