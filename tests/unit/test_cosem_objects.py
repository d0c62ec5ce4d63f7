"""Object lists with their access rights, and whole objects."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.cosem.attributes import EnumValue
from drivers.cosem.object_list import Access, ListedObject, access_text, decode_object_list
from drivers.cosem.objects import (
    Clock,
    CosemObject,
    DisconnectControl,
    ImageTransfer,
    Limiter,
    ProfileGeneric,
    PushSetup,
    SecuritySetup,
    object_of,
    read_listed,
    read_object,
    read_object_list,
)
from drivers.dlms.axdr import (
    array,
    bit_string,
    boolean,
    enum,
    int8,
    int16,
    null,
    octet_string,
    structure,
    uint8,
    uint16,
    uint32,
)
from profiles.classes import CLASSES
from profiles.classes.access import Destination, PushObject, RepetitionDelay
from profiles.classes.shapes import ScriptReference, ValueReference, Window
from profiles.classes.timing import EmergencyProfile, LimiterActions
from profiles.errors import AccessDenied, ProtocolError
from profiles.moments import DateTime
from profiles.objects import AttributeRef, CaptureObject, MethodRef, Obis

CURRENT = Obis(0, 0, 40, 0, 0)
SWITCH = Obis(0, 0, 96, 3, 10)
CLOCK = Obis(0, 0, 1, 0, 0)
MOMENT = bytes.fromhex("07ea0103060b251eff800000")
TYPED = (ProfileGeneric, Clock, ImageTransfer, PushSetup, SecuritySetup, DisconnectControl, Limiter)


def entry(class_id: int, version: int, obis: Obis, attributes: bytes, methods: bytes) -> bytes:
    return structure(uint16(class_id), uint8(version), octet_string(bytes(obis)), structure(attributes, methods))


def rights(modes: Mapping[int, int], selectors: bytes | None = None) -> bytes:
    return array([structure(int8(index), enum(mode), selectors or null()) for index, mode in modes.items()])


def calls(modes: Mapping[int, int]) -> bytes:
    return array([structure(int8(index), enum(mode)) for index, mode in modes.items()])


def association(version: int, obis: Obis = CURRENT) -> bytes:
    return entry(15, version, obis, rights({1: 1, 2: 1}), calls({1: 1}))


# --- object list ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1, 2])
def test_access_modes_up_to_version_2_are_numbers(version: int) -> None:
    switch = entry(70, 0, SWITCH, rights({1: 1, 2: 4, 3: 3, 4: 6, 5: 0, 6: 2, 7: 5, 8: 99}), calls({1: 1, 2: 2, 3: 0}))
    listed = decode_object_list(array([switch, association(version)]))[0]
    assert [access_text(one.access) for one in listed.attributes] == [
        "read",
        "read, authenticated request",
        "read, write",
        "read, write, authenticated request",
        "no access",
        "write",
        "write, authenticated request",
        "no access",
    ]
    assert [access_text(one.access, method=True) for one in listed.methods] == [
        "call",
        "call, authenticated request",
        "no access",
    ]
    assert [reference.attribute for reference in listed.readable] == [1, 2, 3, 4]
    assert listed.callable == (MethodRef(70, SWITCH, 1), MethodRef(70, SWITCH, 2))


def test_access_modes_of_version_3_are_bits() -> None:
    switch = entry(70, 0, SWITCH, rights({2: 0x25, 3: 0x63, 4: 0}), calls({1: 0xE5, 2: 0}))
    listed = decode_object_list(array([switch, association(3)]))[0]
    assert listed.attributes[0].access == Access.READ | Access.AUTHENTICATED_REQUEST | Access.AUTHENTICATED_RESPONSE
    assert listed.attributes[1].writable
    assert not listed.attributes[0].writable
    assert access_text(listed.methods[0].access, method=True) == (
        "call, authenticated request, authenticated response, encrypted response, signed response"
    )
    assert listed.callable == (MethodRef(70, SWITCH, 1),)


def test_the_methods_of_version_0_are_booleans() -> None:
    methods = array([structure(int8(1), boolean(True)), structure(int8(2), boolean(False))])
    listed = decode_object_list(array([entry(70, 0, SWITCH, rights({1: 1}), methods), association(0)]))[0]
    assert listed.callable == (MethodRef(70, SWITCH, 1),)


def test_the_list_is_read_as_the_version_of_its_own_association_says() -> None:
    switch = entry(70, 0, SWITCH, rights({2: 4}), calls({}))
    other = association(3, Obis(0, 0, 40, 0, 3))
    numbers = decode_object_list(array([switch, other, association(1)]))[0]
    assert numbers.attributes[0].access == Access.READ | Access.AUTHENTICATED_REQUEST
    bits = decode_object_list(array([switch, other]))[0]
    assert bits.attributes[0].access == Access.AUTHENTICATED_REQUEST
    told = decode_object_list(array([switch, other]), version=2)[0]
    assert told.attributes[0].access == Access.READ | Access.AUTHENTICATED_REQUEST


def test_selectors_come_as_an_array_or_not_at_all() -> None:
    profile = entry(7, 1, Obis(1, 0, 99, 1, 0), rights({2: 1}, array([int8(1), int8(2)])), calls({}))
    listed = decode_object_list(array([profile]))[0]
    right = listed.right(2)
    assert right is not None
    assert right.selectors == (1, 2)
    assert listed.right(3) is None


def test_the_makers_own_attributes_have_negative_indices() -> None:
    listed = decode_object_list(array([entry(1, 0, SWITCH, rights({-1: 1}), calls({-2: 1}))]))[0]
    assert listed.readable == (AttributeRef(1, SWITCH, -1),)
    assert listed.callable == (MethodRef(1, SWITCH, -2),)


@pytest.mark.parametrize(
    "octets",
    [
        null(),
        uint8(1),
        array([uint8(1)]),
        array([structure(uint16(3), uint8(0), octet_string(b"\x01"), structure(rights({}), calls({})))]),
        array([structure(uint16(3), uint8(0), octet_string(bytes(SWITCH)))]),
        array([entry(3, 0, SWITCH, calls({1: 1}), calls({}))]),
        array([entry(3, 0, SWITCH, rights({1: 1}), calls({}))])[:-1],
    ],
)
def test_a_list_of_another_shape_is_refused(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_object_list(octets)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=80), st.sampled_from([None, 0, 1, 2, 3]))
def test_any_octets_end_in_a_list_or_a_protocol_error(octets: bytes, version: int | None) -> None:
    with contextlib.suppress(ProtocolError):
        decode_object_list(octets, version)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_an_altered_list_ends_in_a_list_or_a_protocol_error(data: st.DataObject) -> None:
    whole = bytearray(array([association(1), entry(70, 0, SWITCH, rights({2: 1}), calls({1: 1}))]))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        decode_object_list(bytes(whole))


# --- whole objects --------------------------------------------------------------------------------------------

DISCONNECT = {1: octet_string(bytes(SWITCH)), 2: boolean(False), 3: enum(2), 4: enum(4)}
PUSH_0 = {
    2: array([structure(uint16(7), octet_string(bytes(CLOCK)), int8(2), uint16(0))]),
    3: structure(enum(0), octet_string(b"10.0.0.1:4059"), enum(0)),
    4: array([structure(octet_string(MOMENT), octet_string(b""))]),
    5: uint16(0),
    6: uint8(3),
    7: uint16(60),
}


def test_a_switch_says_its_state() -> None:
    switch = object_of(DisconnectControl, 0, DISCONNECT)
    assert switch.logical_name == SWITCH
    assert switch.output_state is False
    assert switch.control_state == EnumValue(2, "ready for reconnection")
    assert switch.control_mode is not None
    assert switch.control_mode.number == 4


def test_a_clock_is_whole_or_in_parts() -> None:
    clock = object_of(Clock, 0, {2: octet_string(MOMENT), 3: int16(-330), 4: uint8(0x01), 8: boolean(False)})
    assert clock == Clock(
        time=DateTime(MOMENT), time_zone=-330, status=("invalid value",), daylight_savings_enabled=False
    )
    assert object_of(Clock, 0, {}) == Clock()


def test_a_profile_says_what_it_captures() -> None:
    captured = structure(uint16(8), octet_string(bytes(CLOCK)), int8(2), uint16(0))
    profile = object_of(
        ProfileGeneric,
        1,
        {3: array([captured]), 4: uint32(900), 5: enum(1), 6: captured, 7: uint32(1), 8: uint32(3456)},
    )
    assert profile.capture_objects == (CaptureObject(8, CLOCK, 2),)
    assert profile.sort_object == CaptureObject(8, CLOCK, 2)
    assert (profile.capture_period, profile.entries_in_use, profile.profile_entries) == (900, 1, 3456)


def test_a_push_setup_is_read_in_each_version() -> None:
    pushed = PushObject(7, CLOCK, 2, 0)
    first = object_of(PushSetup, 0, PUSH_0)
    assert first.push_object_list == (pushed,)
    assert first.send_destination_and_method == Destination(
        EnumValue(0, "TCP"), "10.0.0.1:4059", (0, "A-XDR encoded xDLMS APDU")
    )
    assert first.communication_window == (Window(DateTime(MOMENT), None),)
    assert (first.repetition_delay, first.push_client_sap) == (60, None)
    second = object_of(PushSetup, 1, {**PUSH_0, 8: octet_string(bytes(SWITCH)), 9: int8(64), 10: array([])})
    assert (second.port_reference, second.push_client_sap, second.push_protection_parameters) == (SWITCH, 64, ())
    third = object_of(
        PushSetup, 2, {**PUSH_0, 7: structure(uint16(1), uint16(200), uint16(9)), 9: int8(64), 11: enum(2)}
    )
    assert third.repetition_delay == RepetitionDelay(1, 200, 9)
    assert third.push_operation_method is not None
    assert third.push_operation_method.number == 2


def test_the_security_policy_is_read_as_its_version_says() -> None:
    octets = {2: enum(3), 3: enum(0), 5: octet_string(b"SMA\x00\x00\x00\x00\x01")}
    assert object_of(SecuritySetup, 0, octets).security_policy == EnumValue(3, "authenticated and encrypted")
    newer = object_of(SecuritySetup, 1, {**octets, 2: enum(0xFC)})
    assert newer.security_policy is not None
    assert len(newer.security_policy) == 6
    assert newer.server_system_title == b"SMA\x00\x00\x00\x00\x01"


def test_an_image_transfer_says_how_far_it_is() -> None:
    image = object_of(
        ImageTransfer, 0, {2: uint32(200), 3: bit_string("110"), 4: uint32(2), 5: boolean(True), 6: enum(1)}
    )
    assert (image.image_block_size, image.image_transferred_blocks_status) == (200, "110")
    assert image.image_first_not_transferred_block_number == 2
    assert image.image_transfer_enabled is True
    assert image.image_transfer_status == EnumValue(1, "initiated")


def test_a_limiter_says_what_it_watches_and_does() -> None:
    script = structure(octet_string(bytes(SWITCH)), uint16(1))
    limiter = object_of(
        Limiter,
        0,
        {
            2: structure(uint16(3), octet_string(bytes(CLOCK)), int8(2)),
            3: uint32(5000),
            8: structure(uint16(1), octet_string(MOMENT), uint32(60)),
            9: array([uint16(1)]),
            11: structure(script, script),
        },
    )
    assert limiter.monitored_value == ValueReference(3, CLOCK, 2)
    assert limiter.threshold_active == 5000
    assert limiter.emergency_profile == EmergencyProfile(1, DateTime(MOMENT), 60)
    assert limiter.actions == LimiterActions(ScriptReference(SWITCH, 1), ScriptReference(SWITCH, 1))


@pytest.mark.parametrize("kind", TYPED, ids=lambda kind: kind.__name__)
def test_every_field_is_an_attribute_of_some_version(kind: type[CosemObject]) -> None:
    names = {name for (class_id, _), known in CLASSES.items() if class_id == kind.CLASS_ID for name in known.indices}
    assert {field.name for field in dataclasses.fields(kind)} <= names


def test_a_value_of_another_shape_is_refused_by_name() -> None:
    with pytest.raises(ProtocolError, match=r"control_state of Disconnect control.*a whole number expected") as caught:
        object_of(DisconnectControl, 0, {3: octet_string(b"\x02")})
    assert not caught.value.retry


def test_a_version_that_is_not_known_is_refused() -> None:
    with pytest.raises(ProtocolError, match="version 7 of class 70"):
        object_of(DisconnectControl, 7, DISCONNECT)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(TYPED), st.dictionaries(st.integers(1, 13), st.binary(max_size=30), max_size=3))
def test_any_octets_end_in_an_object_or_a_protocol_error(kind: type[CosemObject], attributes: dict[int, bytes]) -> None:
    with contextlib.suppress(ProtocolError):
        object_of(kind, 0, attributes)


# --- reading them ---------------------------------------------------------------------------------------------


class Meter:
    """What a session would get, and AccessDenied for the rest."""

    def __init__(self, attributes: Mapping[AttributeRef, bytes], *, busy: bool = False) -> None:
        self.attributes = attributes
        self.busy = busy
        self.asked: list[int] = []

    async def get(self, attribute: AttributeRef, /) -> bytes:
        self.asked.append(attribute.attribute)
        if attribute not in self.attributes:
            raise AccessDenied("temporary failure" if self.busy else "read-write denied", retry=self.busy)
        return self.attributes[attribute]


def switch_meter(*denied: int, busy: bool = False) -> Meter:
    answers = {AttributeRef(70, SWITCH, index): data for index, data in DISCONNECT.items() if index not in denied}
    return Meter(answers, busy=busy)


async def test_an_object_is_read_whole() -> None:
    meter = switch_meter()
    assert await read_object(meter, DisconnectControl, SWITCH, 0) == object_of(DisconnectControl, 0, DISCONNECT)
    assert meter.asked == [1, 2, 3, 4]


async def test_what_the_meter_denies_is_none() -> None:
    switch = await read_object(switch_meter(4), DisconnectControl, SWITCH, 0)
    assert switch.control_mode is None
    assert switch.output_state is False


async def test_what_the_meter_cannot_say_now_is_an_error() -> None:
    with pytest.raises(AccessDenied):
        await read_object(switch_meter(4, busy=True), DisconnectControl, SWITCH, 0)


async def test_only_what_the_version_has_is_asked_for() -> None:
    meter = Meter({AttributeRef(40, CLOCK, index): data for index, data in PUSH_0.items()})
    assert await read_object(meter, PushSetup, CLOCK, 0) == object_of(PushSetup, 0, PUSH_0)
    assert meter.asked == [1, 2, 3, 4, 5, 6, 7]


async def test_a_listed_object_is_read_as_far_as_the_list_and_the_meter_allow() -> None:
    octets = array([association(1), entry(70, 0, SWITCH, rights({1: 1, 2: 1, 3: 0, 4: 1}), calls({}))])
    listed = decode_object_list(octets)[1]
    assert isinstance(listed, ListedObject)
    meter = switch_meter(4)
    values = await read_listed(meter, listed)
    assert {index: value.value for index, value in values.items()} == {1: SWITCH, 2: False}
    assert meter.asked == [1, 2, 4]
    listing = Meter({AttributeRef(15, CURRENT, 2): octets})
    assert (await read_object_list(listing))[1] == listed
