"""Whole objects, of the classes with which a head-end computes: one frozen dataclass each, field by attribute.

The one rule: a field is named as the attribute (in lower case) and is None where the meter did not give it. Unlike
`drivers.cosem.attributes`, which reads anything, a value of another shape than the Blue Book's is an error here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, TypeVar

from drivers.cosem.attributes import AttributeValue, EnumValue, interpret, read_value
from drivers.cosem.object_list import OBJECT_LIST, ListedObject, decode_object_list
from drivers.dlms import axdr
from profiles.classes import find_class
from profiles.classes.access import (
    Certificate,
    ConfirmationParameters,
    Destination,
    ImageToActivate,
    PushObject,
    RepetitionDelay,
)
from profiles.classes.shapes import CosemClass, ValueReference, Window
from profiles.classes.timing import EmergencyProfile, LimiterActions
from profiles.errors import AccessDenied, ProtocolError
from profiles.moments import DateTime
from profiles.objects import AttributeRef, CaptureObject, Obis


class Reads(Protocol):
    """What can get an attribute's A-XDR octets: an open session."""

    async def get(self, attribute: AttributeRef, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class CosemObject:
    """What all of them have."""

    CLASS_ID: ClassVar[int]

    logical_name: Obis | None = None


@dataclass(frozen=True, slots=True)
class ProfileGeneric(CosemObject):
    """All but its buffer, which `drivers.dlms.profile_buffer` reads. `capture_period` in seconds, 0: by other means."""

    CLASS_ID = 7

    capture_objects: tuple[CaptureObject, ...] | None = None
    capture_period: int | None = None
    sort_method: EnumValue | None = None
    sort_object: CaptureObject | None = None
    entries_in_use: int | None = None
    profile_entries: int | None = None


@dataclass(frozen=True, slots=True)
class Clock(CosemObject):
    """`time_zone` and `daylight_savings_deviation` in minutes; `status` the bits that are set, in words."""

    CLASS_ID = 8

    time: DateTime | None = None
    time_zone: int | None = None
    status: tuple[str, ...] | None = None
    daylight_savings_begin: DateTime | None = None
    daylight_savings_end: DateTime | None = None
    daylight_savings_deviation: int | None = None
    daylight_savings_enabled: bool | None = None
    clock_base: EnumValue | None = None


@dataclass(frozen=True, slots=True)
class ImageTransfer(CosemObject):
    """`image_block_size` in octets; `image_transferred_blocks_status` one bit a block, block 0 first."""

    CLASS_ID = 18

    image_block_size: int | None = None
    image_transferred_blocks_status: str | None = None
    image_first_not_transferred_block_number: int | None = None
    image_transfer_enabled: bool | None = None
    image_transfer_status: EnumValue | None = None
    image_to_activate_info: tuple[ImageToActivate, ...] | None = None


@dataclass(frozen=True, slots=True)
class PushSetup(CosemObject):
    """Versions 0 to 2; delays and intervals in seconds."""

    CLASS_ID = 40

    push_object_list: tuple[PushObject, ...] | None = None
    send_destination_and_method: Destination | None = None
    communication_window: tuple[Window, ...] | None = None
    randomisation_start_interval: int | None = None
    number_of_retries: int | None = None
    repetition_delay: int | RepetitionDelay | None = None
    port_reference: Obis | None = None
    push_client_sap: int | None = None
    push_protection_parameters: tuple[dict[str, Any], ...] | None = None
    push_operation_method: EnumValue | None = None
    confirmation_parameters: ConfirmationParameters | None = None
    last_confirmation_date_time: DateTime | None = None


@dataclass(frozen=True, slots=True)
class SecuritySetup(CosemObject):
    """`security_policy` is a number of an enumeration in version 0, a set of bits in version 1."""

    CLASS_ID = 64

    security_policy: EnumValue | tuple[str, ...] | None = None
    security_suite: EnumValue | None = None
    client_system_title: bytes | None = None
    server_system_title: bytes | None = None
    certificates: tuple[Certificate, ...] | None = None


@dataclass(frozen=True, slots=True)
class DisconnectControl(CosemObject):
    """`output_state`: whether the supply is on."""

    CLASS_ID = 70

    output_state: bool | None = None
    control_state: EnumValue | None = None
    control_mode: EnumValue | None = None


@dataclass(frozen=True, slots=True)
class Limiter(CosemObject):
    """Thresholds as raw numbers, in the scale and unit of the monitored value; durations in seconds."""

    CLASS_ID = 71

    monitored_value: ValueReference | None = None
    threshold_active: int | float | None = None
    threshold_normal: int | float | None = None
    threshold_emergency: int | float | None = None
    min_over_threshold_duration: int | None = None
    min_under_threshold_duration: int | None = None
    emergency_profile: EmergencyProfile | None = None
    emergency_profile_group_id_list: tuple[int, ...] | None = None
    emergency_profile_active: bool | None = None
    actions: LimiterActions | None = None


T = TypeVar("T", bound=CosemObject)

_PROFILE_BUFFER = (7, 2)


def object_of(kind: type[T], version: int, attributes: Mapping[int, bytes]) -> T:
    """An object from the A-XDR octets of its attributes, by index; what is missing there is None.

    Raises ProtocolError on a version that is not known here, and on a value of another shape.
    """
    known = _known(kind, version)
    values: dict[str, Any] = {}
    for name, index in _attributes(kind, known):
        if index in attributes:
            values[name] = _value(known, index, attributes[index])
    return kind(**values)


async def read_object(session: Reads, kind: type[T], obis: Obis, version: int) -> T:
    """GET every attribute of `kind`; what the association may not read is None. Errors as `object_of` and of GET."""
    read: dict[int, bytes] = {}
    for _, index in _attributes(kind, _known(kind, version)):
        try:
            read[index] = await session.get(AttributeRef(kind.CLASS_ID, obis, index))
        except AccessDenied as error:
            if error.retry:
                raise
    return object_of(kind, version, read)


async def read_object_list(session: Reads) -> tuple[ListedObject, ...]:
    """The objects that the association of this session shows. Errors as `decode_object_list` and of GET."""
    return decode_object_list(await session.get(OBJECT_LIST))


async def read_listed(session: Reads, listed: ListedObject) -> dict[int, AttributeValue]:
    """GET, by index, every attribute that the list says may be read, but a profile's buffer, which may be megabytes.

    What the meter denies all the same is left out. Errors as GET.
    """
    values: dict[int, AttributeValue] = {}
    for reference in listed.readable:
        if (reference.class_id, reference.attribute) == _PROFILE_BUFFER:
            continue
        try:
            data = await session.get(reference)
        except AccessDenied as error:
            if error.retry:
                raise
        else:
            values[reference.attribute] = read_value(reference, data, listed.version)
    return values


def _known(kind: type[CosemObject], version: int) -> CosemClass:
    known = find_class(kind.CLASS_ID, version)
    if known is None:
        raise ProtocolError(f"version {version} of class {kind.CLASS_ID} is not known here", retry=False)
    return known


def _attributes(kind: type[CosemObject], known: CosemClass) -> list[tuple[str, int]]:
    """The fields that this version of the class has, with their attribute indices."""
    return [(one.name, known.indices[one.name]) for one in fields(kind) if one.name in known.indices]


def _value(known: CosemClass, index: int, data: bytes) -> Any:
    name, shape = known.attributes[index - 1]
    value = axdr.decode(data)
    try:
        return None if value is None else interpret(shape, value)
    except ProtocolError as error:
        raise ProtocolError(f"{name} of {known.name} {error.message}", retry=False) from None
