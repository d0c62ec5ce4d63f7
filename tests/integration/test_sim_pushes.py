"""A fleet that pushes on a fast clock, into our push listener: under every cover, twice, late, again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drivers.credentials import CounterRange
from drivers.dlms import axdr
from drivers.dlms.apdu import EventNotification
from drivers.push import Arrival, Push, PushingMeter, PushPolicy
from drivers.push.arrival import title_of
from drivers.push.listener import serve_pushes
from profiles.events import FIRST_BREATH, LAST_GASP
from profiles.loader import load_meter_type
from profiles.objects import Obis
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.outages import DeclaredOutage, OutageRates
from simulators.push import push_kind
from simulators.pusher import Pusher
from simulators.schedule import COVERS, PushPlan, PushSchedule
from simulators.spans import Rate
from simulators.state import HDLC, TCP, UDP, Destination
from simulators.topology import Division
from simulators.virtual_clock import VirtualClock
from simulators.world import World, town

METER_TYPE = load_meter_type("is15959-1ph")
COMMISSIONED = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
START = datetime(2026, 1, 4, 6, 0, tzinfo=UTC)
SEED, METERS = 3, 12
SPEED = 3600.0
TITLE = b"HES\x00\x00\x00\x00\x01"
POLICY = PushPolicy(frozenset({0x00, 0x20, 0x30}), constant_counter=True)
BLOCK_PUSH, ALERT_PUSH = Obis(0, 5, 25, 9, 0), Obis(0, 4, 25, 9, 0)
LIMIT_S = 60.0


class Headend:
    """Opens whatever comes from the fleet, and keeps it in the order of its coming."""

    def __init__(self, meters: list[SimulatedMeter]) -> None:
        self.kept: list[Push] = []
        self._by_host = {meter.identity.host: _registered(meter) for meter in meters}
        self._by_title = {meter.identity.system_title: _registered(meter) for meter in meters}

    async def lookup(self, arrival: Arrival) -> PushingMeter | None:
        by_host = self._by_host.get(arrival.peer.rpartition(":")[0])
        return by_host or self._by_title.get(title_of(arrival.apdu))

    async def keep(self, found: Push) -> None:
        self.kept.append(found)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():  # noqa: ASYNC110 - a condition of the other side, without an event
                await asyncio.sleep(0.01)

    def lists(self, obis: Obis) -> list[axdr.Structure]:
        """What came by the push setup of this logical name."""
        bodies = [axdr.decode(body) for one in self.kept if (body := getattr(one.notification, "data", b""))]
        return [body for body in bodies if isinstance(body, axdr.Structure) and body[1] == bytes(obis)]

    def with_bit(self, bit: int) -> list[axdr.Value]:
        """The device ids of alerts whose event status word has this bit set."""
        return [
            body[0]
            for body in self.lists(ALERT_PUSH)
            if isinstance(body[3], axdr.BitString) and body[3].bits[bit] == "1"
        ]


def _registered(meter: SimulatedMeter) -> PushingMeter:
    credentials = meter.client_credentials(push_kind(METER_TYPE), TITLE, CounterRange(1, 1000))
    return PushingMeter(meter.identity.name, meter.identity.system_title, credentials, POLICY)


class Place:
    """A fleet on a fast clock, a head-end that listens, and what pushes from the one to the other."""

    def __init__(self, where: World) -> None:
        self.clock = VirtualClock.start(START, SPEED)
        fleet = Fleet(SEED, METERS, {"Datia": 1}, COMMISSIONED)
        meters = simulated_meters(fleet, METER_TYPE, self.clock, world=where).values()
        self.meters = {meter.identity.index: meter for meter in meters}
        self.headend = Headend(list(meters))
        self.world = where
        self.pusher: Pusher

    @asynccontextmanager
    async def pushing(self, plan: PushPlan) -> AsyncIterator[Headend]:
        self.pusher = Pusher(PushSchedule(plan, SEED, list(self.meters), self.world), self.meters, self.clock)
        running = asyncio.create_task(self.pusher.run())
        try:
            yield self.headend
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    @asynccontextmanager
    async def listening(self, plan: PushPlan, host: str = "127.0.0.1") -> AsyncIterator[Headend]:
        """Pushes as planned, but to a listener on this host."""
        async with serve_pushes(
            host, lookup=self.headend.lookup, on_push=self.headend.keep, tcp_port=0, udp_port=0
        ) as listener:
            port = (listener.udp_ports if plan.to.service == UDP else listener.tcp_ports)[0]
            shown = f"[{host}]" if ":" in host else host
            to = Destination(plan.to.service, f"{shown}:{port}".encode())
            async with self.pushing(replace(plan, to=to)) as headend:
                yield headend


def world(*outages: DeclaredOutage, **tampers: Rate) -> World:
    quiet = town(SEED, [Division("Datia", METERS)], int(COMMISSIONED.timestamp()))
    return World(SEED, quiet.topology, quiet.sites, quiet.commissioned_at, OutageRates(declared=outages), tampers)


BLOCKS = PushPlan(Destination(TCP), every={"block_load": 15}, spread_s=300)
ALERTS = replace(BLOCKS, every={})


@pytest.mark.parametrize(
    ("service", "host"), [(TCP, "127.0.0.1"), (UDP, "127.0.0.1"), (HDLC, "127.0.0.1"), (TCP, "::1"), (UDP, "::1")]
)
async def test_every_meter_pushes_its_blocks_by_every_service(service: int, host: str) -> None:
    place = Place(world())
    async with place.listening(replace(BLOCKS, to=Destination(service)), host) as headend:
        await headend.until(lambda: len(headend.kept) >= 3 * METERS)
    assert {one.title for one in headend.kept} == {meter.identity.system_title for meter in place.meters.values()}
    assert len(headend.lists(BLOCK_PUSH)) == len(headend.kept)
    assert place.pusher.failed == 0


async def test_meters_push_under_each_cover_that_is_seen_in_the_field() -> None:
    place = Place(world())
    async with place.listening(replace(BLOCKS, covers=dict.fromkeys(COVERS, 1.0))) as headend:
        await headend.until(lambda: len(headend.kept) >= 4 * METERS)
    assert {one.cover.control for one in headend.kept} == {0x00, 0x20, 0x30}
    assert {one.counter for one in headend.kept if one.cover.control == 0x20} == {0}
    for one in headend.kept:
        assert one.authenticated is (one.cover.control == 0x30)


async def test_an_outage_of_a_division_is_told_by_last_gasps_and_first_breaths() -> None:
    off = DeclaredOutage("division", "Datia", int(START.timestamp()) + 3600, int(START.timestamp()) + 7200)
    place = Place(world(off))
    async with place.listening(ALERTS) as headend:
        await headend.until(lambda: len(headend.with_bit(FIRST_BREATH)) >= METERS)
    devices = sorted(meter.identity.device_id for meter in place.meters.values())
    assert sorted(map(str, headend.with_bit(LAST_GASP))) == devices
    assert set(map(str, headend.with_bit(FIRST_BREATH))) == set(devices)


async def test_events_come_as_alerts_and_as_event_notifications() -> None:
    place = Place(world(magnet=Rate(300.0, 600.0, 7200.0)))
    async with place.listening(replace(ALERTS, events=True)) as headend:
        await headend.until(lambda: len(headend.kept) >= 5 and bool(headend.lists(ALERT_PUSH)))
    events = [one.notification for one in headend.kept if isinstance(one.notification, EventNotification)]
    assert len(events) >= 2
    assert {axdr.decode(one.data) for one in events} <= {201, 202}
    assert {one.attribute.obis for one in events} == {Obis(0, 0, 96, 11, 4)}


async def test_pushes_come_twice_and_in_another_order() -> None:
    plan = replace(BLOCKS, every={"instant": 5}, spread_s=300, duplicates=0.5, held_back=0.3)
    place = Place(world())
    async with place.listening(plan) as headend:
        await headend.until(lambda: len(headend.kept) >= 20 * METERS)
    title = place.meters[0].identity.system_title
    counters = [one.counter for one in headend.kept if one.title == title and one.counter is not None]
    assert len(set(counters)) < len(counters), "twice"
    assert counters != sorted(counters), "in another order"


def nobody() -> Destination:
    """Where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return Destination(TCP, f"127.0.0.1:{unused.getsockname()[1]}".encode())


async def test_a_push_is_tried_again_until_somebody_listens() -> None:
    place, to = Place(world()), nobody()
    plan = replace(BLOCKS, to=to, every={"daily_load": 30}, retries=1000, retry_after_s=600.0)
    async with place.pushing(plan) as headend:
        await asyncio.sleep(0.8)
        assert place.pusher.sent == 0
        port = int(to.address.rpartition(b":")[2])
        async with serve_pushes("127.0.0.1", lookup=headend.lookup, on_push=headend.keep, tcp_port=port, udp_port=None):
            await headend.until(lambda: place.pusher.sent >= METERS)
    assert place.pusher.failed == 0


async def test_a_push_that_nobody_takes_is_given_up() -> None:
    place = Place(world())
    async with place.pushing(replace(BLOCKS, to=nobody(), retries=1)) as headend:
        await headend.until(lambda: place.pusher.failed >= METERS)
    assert place.pusher.sent == 0
