"""What simulated meters push: under every cover our push receiver opens it; by every service it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from simulated import CLOCK, SERIAL, TITLE, Place, one_meter, value

from drivers.credentials import CounterRange
from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import DataNotification, EventNotification
from drivers.dlms.ciphering import protection_of
from drivers.dlms.profile_buffer import decode_capture_objects
from drivers.dlms.wrapper import wrap
from drivers.push import Arrival, Push, PushingMeter, PushPolicy, PushReceiver, Route, keys_of, open_push
from drivers.push.listener import serve_pushes
from drivers.reading import Reader
from profiles.errors import AccessDenied, LinkError, SecurityError, SettingsError
from profiles.loader import load_meter_type, meter_types
from profiles.meter_type import Association, Cover, MeterType, PushRules
from profiles.objects import AttributeRef, MethodRef, Obis
from profiles.push_readings import push_readings
from simulators.event_log import POWER_RESTORED
from simulators.meter import SimulatedMeter
from simulators.push import event, in_blocks, push, push_kind
from simulators.push_sender import send_push
from simulators.state import HDLC, TCP, UDP, Destination

LIMIT_S = 30
BLOCK_PUSH, ALERT_PUSH, DAILY_PUSH = Obis(0, 5, 25, 9, 0), Obis(0, 4, 25, 9, 0), Obis(0, 6, 25, 9, 0)
EVENT = AttributeRef(1, Obis(0, 0, 96, 11, 2), 2)
POLICY = PushPolicy(frozenset({0x00, 0x10, 0x20, 0x30, 0x31, 0x32}))


def registered(meter: SimulatedMeter, policy: PushPolicy = POLICY) -> PushingMeter:
    kind = push_kind(meter.meter_type)
    credentials = meter.client_credentials(kind, TITLE, CounterRange(1, 1000))
    return PushingMeter(meter.identity.name, meter.identity.system_title, credentials, policy)


def opened(meter: SimulatedMeter, octets: bytes, policy: PushPolicy = POLICY) -> Push:
    return open_push(Arrival(octets, Route("wrapper", 1, 64)), registered(meter, policy))


def kind_of(meter: SimulatedMeter, **changed: Any) -> Association:
    return replace(push_kind(meter.meter_type), **changed)


def block_values(meter: SimulatedMeter) -> tuple[axdr.Value, ...]:
    """What the newest row says, in the order of the push; null where the meter has no such register."""
    row = axdr.decode(meter.rows(None)[-1])
    assert isinstance(row, axdr.Structure)
    by_obis = {column.obis: cell for column, cell in zip(meter.capture_objects(), row, strict=True)}
    columns = meter.meter_type.pushes["block_load"].columns[3:]
    return tuple(by_obis.get(column.captured.obis) for column in columns)


# --- covers ---------------------------------------------------------------------------------------------------

COVERS: list[dict[str, Any]] = [
    {"security_control": 0},
    *({"security_control": control} for control in (0x10, 0x20, 0x30)),
    *({"ciphering": "general-ciphering", "key_origin": origin} for origin in ("identified", "wrapped")),
]
WITH_KEY_PAIRS: list[dict[str, Any]] = [
    {"signed": True},
    {"security_control": 1, "signed": True},
    *({"ciphering": "general-ciphering", "key_origin": origin} for origin in ("one-pass", "static-unified")),
]


def named(association: dict[str, Any]) -> str:
    return " ".join(str(each) for each in association.values())


@pytest.mark.parametrize("cover", COVERS, ids=named)
async def test_a_push_opens_under_every_cover(cover: dict[str, Any]) -> None:
    async with one_meter() as place:
        meter = place.meter
        meter.client_title = TITLE
        found = opened(meter, push(meter, "block_load", kind_of(meter, **cover), stamped=True))
        assert isinstance(found.notification, DataNotification)
        assert found.notification.date_time == meter.clock_octets()
        assert found.authenticated is (cover.get("security_control", 0x30) in (0x10, 0x30))
        said = axdr.decode(found.notification.data)
        assert isinstance(said, axdr.Structure)
        assert said[:3] == (meter.identity.device_id, bytes(BLOCK_PUSH), meter.clock_octets())
        assert said[3:] == block_values(meter)
        assert said[3] is not None
        assert said[-1] is None, "this maker has no neutral current"


@pytest.mark.parametrize("suite", [1, 2])
@pytest.mark.parametrize("cover", WITH_KEY_PAIRS, ids=named)
async def test_a_push_is_signed_and_its_key_agreed_on(cover: dict[str, Any], suite: int) -> None:
    async with one_meter(security_control=0x30 | suite) as place:
        meter = place.meter
        meter.client_title = TITLE
        control = cover.get("security_control", 0x30) & 0x30 | suite
        kind = kind_of(meter, **{**cover, "security_control": control})
        found = opened(meter, push(meter, "alert", kind), replace(POLICY, signed=kind.signed))
        assert found.authenticated
        assert found.cover.signed is kind.signed
        said = axdr.decode(found.notification.data)
        assert said == (meter.identity.device_id, bytes(ALERT_PUSH), meter.clock_octets(), axdr.BitString("0" * 128))


async def test_the_cover_is_what_the_types_rules_say_where_nothing_else_is_asked_for() -> None:
    async with one_meter() as place:
        found = opened(place.meter, push(place.meter, "alert"), PushPolicy())
        assert (found.cover.control, found.cover.kind.ciphering) == (0x30, "general-glo")
        assert found.counter == place.meter.next_counter() - 1
        assert found.notification.invoke_id == 1
        assert opened(place.meter, push(place.meter, "instant")).notification.invoke_id == 2


CONTROLS: dict[Cover, int] = {
    "clear": 0x00,
    "authentication": 0x10,
    "encryption": 0x20,
    "authentication-and-encryption": 0x30,
}


@pytest.mark.parametrize("suite", [0, 1])
@pytest.mark.parametrize("cover", CONTROLS)
async def test_a_type_lets_in_the_cover_that_it_names_and_no_other(cover: Cover, suite: int) -> None:
    async with one_meter() as place, listening(place) as headend:
        rules = PushRules(covers=(cover,), counter_rises=cover != "encryption", keys_of="push")
        keys = replace(place.meter.meter_type.associations["push"], security_control=0x30 | suite)
        associations = {**place.meter.meter_type.associations, "push": keys}
        place.meter.meter_type = replace(place.meter.meter_type, push_rules=rules, associations=associations)
        policy = PushPolicy.of(place.meter.meter_type)
        control = CONTROLS[cover] | suite if CONTROLS[cover] else 0
        assert policy.controls == {control}
        assert policy.constant_counter is (cover == "encryption")
        headend.meter = registered(place.meter, policy)
        await send_push(place.meter, [push(place.meter, "alert")], headend.destination(TCP), 64)
        await headend.wait()
        assert headend.kept[0].cover.control == control
        for other in CONTROLS.keys() - {cover}:
            with pytest.raises(SecurityError, match="is demanded"):
                opened(place.meter, push(place.meter, "alert", push_kind(place.meter.meter_type, other)), policy)


def test_the_rules_of_every_type_become_a_policy() -> None:
    by_name = {name: PushPolicy.of(load_meter_type(name)) for name in meter_types()}
    assert by_name["is15959-1ph"] == PushPolicy(frozenset({0x30}), confirmed=False)
    assert by_name["idis"].confirmed
    assert by_name["han-aidon"].controls == {0x00}
    quirky = load_meter_type("is15959-1ph+encrypted-pushes-counter-zero")
    assert PushPolicy.of(quirky) == PushPolicy(frozenset({0x20}), constant_counter=True, confirmed=False)
    signed: MeterType = replace(quirky, push_rules=PushRules(covers=("clear", "encryption"), signed=True))
    assert (PushPolicy.of(signed).controls, PushPolicy.of(signed).signed) == ({0x00, 0x20}, True)
    assert keys_of(signed).name == signed.reading_association


async def test_a_meter_may_encrypt_only_with_a_counter_that_stays_0() -> None:
    async with one_meter() as place:
        kind = kind_of(place.meter, security_control=0x20)
        first, second = (opened(place.meter, push(place.meter, "alert", kind, counter=0)) for _ in range(2))
        assert (first.counter, second.counter, first.authenticated) == (0, 0, False)


async def test_an_event_goes_in_clear_or_under_the_global_key() -> None:
    async with one_meter() as place:
        meter = place.meter
        for kind, tag in (
            (kind_of(meter, security_control=0), 0xC2),
            (kind_of(meter, ciphering="glo"), 0xCA),
            (kind_of(meter), 0xDB),
        ):
            octets = event(meter, EVENT, kind)
            assert octets[0] == tag
            found = opened(meter, octets).notification
            assert found == EventNotification(EVENT, axdr.uint16(POWER_RESTORED), meter.clock_octets())
        assert opened(meter, event(meter, NO_SUCH, stamped=False)).notification == EventNotification(NO_SUCH, b"\x00")


NO_SUCH = AttributeRef(1, Obis(1, 2, 3, 4, 5), 2)


@pytest.mark.parametrize("tagged", [False, True])
async def test_a_date_time_comes_with_its_tag_where_asked_for(tagged: bool) -> None:
    async with one_meter() as place:
        found = opened(place.meter, push(place.meter, "alert", stamped=True, tagged=tagged)).notification
        assert isinstance(found, DataNotification)
        assert (found.tagged, found.date_time) == (tagged, place.meter.clock_octets())


async def test_a_push_of_another_form_names_its_values_and_brings_rows() -> None:
    async with one_meter() as place:
        meter = place.meter
        found = meter.meter_type.pushes["block_load"]

        def said(**changed: Any) -> Any:
            pushes = {**meter.meter_type.pushes, "block_load": replace(found, **changed)}
            meter.meter_type = replace(meter.meter_type, pushes=pushes)
            return axdr.decode(opened(meter, push(meter, "block_load")).notification.data)

        plain, device_id = said(), bytes(Obis(0, 0, 96, 1, 2))
        pairs = said(form="pairs")
        assert (pairs[0], pairs[1::2]) == (device_id, plain)
        objects = said(form="objects")
        assert isinstance(objects, list)
        assert objects[0] == (device_id, meter.identity.device_id)
        assert objects[3] == (bytes(Obis(1, 0, 12, 27, 0)), plain[3], (-2, 35))
        rows = said(form="columns", rows_of="block_load")[-1]
        assert rows == [axdr.decode(row) for row in meter.rows(None)[-4:]]


async def test_a_push_that_the_type_does_not_have_is_none() -> None:
    async with one_meter() as place:
        with pytest.raises(SettingsError, match="no push 'weather'"):
            push(place.meter, "weather")


async def test_a_long_push_goes_in_general_blocks() -> None:
    async with one_meter() as place:
        pushes = place.meter.meter_type.pushes
        long = replace(pushes["block_load"], rows_of="block_load")
        place.meter.meter_type = replace(place.meter.meter_type, pushes={**pushes, "block_load": long})
        octets = push(place.meter, "block_load")
        blocks = in_blocks(octets, 100)
        assert len(blocks) > 2
        receiver = PushReceiver()
        for block in blocks:
            receiver.feed(wrap(1, 64, block))
            if block is not blocks[-1]:
                assert receiver.next() is None
        arrival = receiver.next()
        assert arrival is not None
        assert arrival.apdu == octets


# --- on the way -----------------------------------------------------------------------------------------------


class Headend:
    """Listens, and keeps what it can open."""

    def __init__(self, place: Place, policy: PushPolicy = POLICY) -> None:
        self.meter = registered(place.meter, policy)
        self.kept: list[Push] = []
        self.ports: dict[str, int] = {}

    async def lookup(self, arrival: Arrival) -> PushingMeter:
        return self.meter

    async def keep(self, found: Push) -> None:
        self.kept.append(found)

    def destination(self, service: int) -> Destination:
        return Destination(service, f"127.0.0.1:{self.ports['udp' if service == UDP else 'tcp']}".encode())

    async def wait(self, count: int = 1) -> axdr.Value:
        """The body of the newest push, once there are so many."""
        await until(lambda: len(self.kept) >= count)
        return axdr.decode(self.kept[-1].notification.data)


@asynccontextmanager
async def listening(place: Place) -> AsyncIterator[Headend]:
    headend = Headend(place)
    async with serve_pushes(
        "127.0.0.1", lookup=headend.lookup, on_push=headend.keep, tcp_port=0, udp_port=0
    ) as listener:
        headend.ports = {"tcp": listener.tcp_ports[0], "udp": listener.udp_ports[0]}
        yield headend


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - a condition of the other side, without an event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("service", [TCP, UDP, HDLC])
async def test_a_push_set_off_by_its_method_goes_to_where_it_was_set_to_go(service: int) -> None:
    async with one_meter() as place, listening(place) as headend, place.session() as session:
        to = headend.destination(service)
        setup = AttributeRef(40, BLOCK_PUSH, 3)
        data = axdr.structure(axdr.enum(service), axdr.octet_string(to.address), axdr.enum(0))
        with pytest.raises(AccessDenied, match="other reason"):
            await session.action(MethodRef(40, BLOCK_PUSH, 1), axdr.int8(0))
        await session.set(setup, data)
        assert await session.get(setup) == data
        await session.action(MethodRef(40, BLOCK_PUSH, 1), axdr.int8(0))
        said = await headend.wait()
        assert isinstance(said, axdr.Structure)
        assert said[3:] == block_values(place.meter)
        assert headend.kept[0].title == place.meter.identity.system_title
        columns = await value(session, setup._replace(attribute=2))
        assert isinstance(columns, list)
        assert len(columns) == len(said)


@pytest.mark.parametrize("service", [TCP, UDP, HDLC])
async def test_a_long_push_arrives_in_blocks(service: int) -> None:
    async with one_meter() as place, listening(place) as headend:
        octets = push(place.meter, "block_load")
        await send_push(place.meter, in_blocks(octets, 50), headend.destination(service), 64)
        said = await headend.wait()
        assert isinstance(said, axdr.Structure)
        assert said[3:] == block_values(place.meter)


@pytest.mark.parametrize("quirk", ["", "+daily-push-off-by-ten"])
async def test_a_push_whose_scaler_is_stated_wrongly_says_what_the_profile_says(quirk: str) -> None:
    """The columns are what its push setup lists, the scalers those of the daily profile, as the meter gives both."""
    async with one_meter() as place, listening(place) as headend:
        place.meter.meter_type = meter_type = load_meter_type(f"is15959-1ph{quirk}")
        async with place.session() as session:
            reader = Reader(session, meter_type)
            layout = (await reader.buffer(reader.profile("daily_load"))).layout
            objects = await session.get(AttributeRef(40, DAILY_PUSH, 2))
        await send_push(place.meter, [push(place.meter, "daily_load")], headend.destination(TCP), 64)
        body = await headend.wait()
        listed = {"daily_load": decode_capture_objects(objects)}
        found = push_readings(meter_type, body, scalers={"daily_load": layout.scalers}, learnt=listed)
        energy = next(one for one in found.readings if one.obis == Obis(1, 0, 1, 8, 0))
        register = next(one for one in place.meter.columns.of(reader.profile("daily_load"), place.meter.identity.maker)
                        if one.captured.obis == energy.obis)  # fmt: skip
        assert register.scaler is not None
        own = axdr.decode(place.meter.reading(register))
        assert isinstance(own, int)
        assert energy.number is not None
        assert energy.number > 0
        assert int(energy.number.scaleb(-register.scaler)) == own


@pytest.mark.parametrize("service", [TCP, UDP])
async def test_a_confirmed_push_is_confirmed(service: int) -> None:
    async with one_meter() as place, listening(place) as headend:
        place.meter.client_title = TITLE
        octets = push(place.meter, "alert", confirmed=True)
        to = headend.destination(service)
        answer = await send_push(place.meter, [octets], to, 64, answered=True)
        assert answer is not None
        kind = push_kind(place.meter.meter_type)
        protection = protection_of(kind, place.meter.credentials(kind), TITLE, place.meter.next_counter)
        assert protection is not None
        plain = protection.unprotect(answer).plain
        assert apdu.decode(plain) == apdu.DataNotificationConfirm(headend.kept[0].notification.invoke_id)


@pytest.mark.parametrize("address", [b"", b"127.0.0.1", b"10.0.0.1:4059", b"\xff:1", b"127.0.0.1:x"])
async def test_a_meter_pushes_to_loopback_addresses_alone(address: bytes) -> None:
    async with one_meter() as place:
        with pytest.raises(LinkError, match="no place"):
            await send_push(place.meter, [b"\xc2"], Destination(TCP, address), 64)


async def test_a_head_end_that_does_not_listen_is_said_not_to() -> None:
    async with one_meter() as place, listening(place) as headend:
        to = headend.destination(TCP)
    with pytest.raises(LinkError, match="can't be reached"):
        await send_push(place.meter, [b"\xc2"], to, 64)


async def test_what_is_pushed_is_what_was_set_to_be_pushed() -> None:
    listed = [(8, CLOCK.obis, 2), (1, SERIAL.obis, 2)]
    data = axdr.array(
        [
            axdr.structure(axdr.uint16(kind), axdr.octet_string(bytes(obis)), axdr.int8(index), axdr.uint16(0))
            for kind, obis, index in listed
        ]
    )
    async with one_meter() as place, place.session() as session:
        setup = AttributeRef(40, BLOCK_PUSH, 2)
        await session.set(setup, data)
        assert await session.get(setup) == data
        with pytest.raises(AccessDenied, match="type unmatched"):
            await session.set(setup, axdr.uint8(0))
        said = axdr.decode(opened(place.meter, push(place.meter, "block_load")).notification.data)
        assert isinstance(said, axdr.Structure)
        assert list(said) == [place.meter.clock_octets(), place.meter.identity.serial]


async def test_destinations_that_are_none_are_not_taken() -> None:
    async with one_meter() as place, place.session() as session:
        for data, words in (
            (axdr.structure(axdr.enum(2), axdr.octet_string(b"127.0.0.1:1"), axdr.enum(0)), "other reason"),
            (axdr.structure(axdr.enum(0), axdr.octet_string(bytes(65)), axdr.enum(0)), "other reason"),
            (axdr.structure(axdr.enum(0), axdr.octet_string(b""), axdr.enum(1)), "type unmatched"),
            (axdr.uint8(0), "type unmatched"),
        ):
            with pytest.raises(AccessDenied, match=words):
                await session.set(AttributeRef(40, ALERT_PUSH, 3), data)
        assert place.meter.state.push_to == {}


@pytest.mark.parametrize("scheme", ["tcp", "hdlc+tcp"])
async def test_a_push_in_the_middle_of_an_association_is_given_to_who_takes_them(scheme: str) -> None:
    """By HDLC it comes in UI frames."""
    heard: list[bytes] = []
    async with one_meter() as place, place.session(scheme=scheme, unasked=heard.append) as session:
        for count in range(3):
            octets = push(place.meter, "alert")
            place.server.interject(place.meter.identity.host, octets, place.setting.client_sap)
            assert await value(session, CLOCK) == place.meter.clock_octets()
            assert heard == [*heard[:count], octets]
        assert await value(session, SERIAL) == place.meter.identity.serial
