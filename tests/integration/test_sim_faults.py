"""Meters that misbehave as declared, over real sockets: what our client meets, and what it gets all the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from simulated import BLOCK_LOAD, CLOCK, COMMISSIONED, METER_TYPE, NOW, SERIAL, TITLE, Place, one_meter, value

from drivers.address import parse_address
from drivers.credentials import CounterRange
from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.session import Session, open_session
from profiles.errors import AccessDenied, HeadEndError, LinkError, LinkTimeout, MeterBusy, ProtocolError
from simulators.datagrams import DatagramServer
from simulators.faults import Fault, fault, faults_of_meters
from simulators.faulty_meter import FaultyMeter, maker_of_meters
from simulators.fleet import Fleet

SEED = 5
"""Of the fleet that `one_meter` is of."""
SHORT_S = 0.5
NO_REQUEST = wrap(16, 1, b"\xc0")
"""What every meter answers with an exception-response."""


@asynccontextmanager
async def faulty(*faults: Fault) -> AsyncIterator[Place]:
    async with one_meter(maker_of_meters(faults_of_meters(faults, SEED, 1))) as place:
        yield place


def struck(place: Place, name: str) -> int:
    assert isinstance(place.meter, FaultyMeter)
    return place.meter.faults.struck.get(name, 0)


@asynccontextmanager
async def session(place: Place, *, timeout_s: float = 10.0, scheme: str = "tcp") -> AsyncIterator[Session]:
    """Our client in the utility setting association."""
    address = parse_address(f"{scheme}://{place.meter.identity.host}:{place.server.port}?timeout={timeout_s}")
    credentials = place.meter.client_credentials(place.setting, TITLE, place.counters)
    async with open_session(address, place.meter.meter_type, place.setting, credentials) as opened:
        yield opened


# --- of the link ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["never_answers", "loss", "half_open"])
async def test_a_meter_that_does_not_answer_is_waited_for_until_the_time_is_over(name: str) -> None:
    figures = {} if name == "never_answers" else {"chance": 1.0}
    async with faulty(fault(name, **figures)) as place:
        with pytest.raises(LinkTimeout):
            async with session(place, timeout_s=SHORT_S):
                pass
        assert struck(place, name) == 1


async def test_a_half_open_connection_stands_though_nothing_is_heard_on_it() -> None:
    async with faulty(fault("half_open", chance=1.0)) as place:
        reader, writer = await asyncio.open_connection(place.meter.identity.host, place.server.port)
        for _ in range(3):
            writer.write(NO_REQUEST)
            await writer.drain()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT_S):
                await reader.read(1)
        assert len(place.server.links) == 1
        writer.close()


async def test_now_and_then_an_answer_is_lost() -> None:
    async with faulty(fault("loss", chance=0.15)) as place:
        got = lost = 0
        while not (got and lost):
            try:
                async with session(place, timeout_s=SHORT_S) as opened:
                    await value(opened, SERIAL)
                got += 1
            except LinkTimeout:
                lost += 1
        assert struck(place, "loss") >= lost, "a lost answer to a release is nobody's loss"


async def test_answers_are_late_and_all_the_same_right() -> None:
    async with faulty(fault("latency", median_ms=80.0, longest_ms=200.0)) as place:
        started = time.monotonic()
        async with session(place) as opened:
            for _ in range(3):
                assert await value(opened, SERIAL) == place.meter.identity.serial
        assert time.monotonic() - started > 0.1
        assert struck(place, "latency") >= 5


async def test_late_answers_to_requests_that_came_together_keep_their_order() -> None:
    clients = [16, 32, 48, 16, 32]
    async with faulty(fault("latency", median_ms=20.0)) as place:
        reader, writer = await asyncio.open_connection(place.meter.identity.host, place.server.port)
        writer.write(b"".join(wrap(client, 1, b"\xc0") for client in clients))
        answers = Unwrapper()
        for client in clients:
            while (frame := answers.next()) is None:
                answers.feed(await reader.read(1000))
            assert frame.destination == client
        writer.close()
        assert struck(place, "latency") == len(clients)


async def test_octets_that_trickle_in_make_whole_answers() -> None:
    async with faulty(fault("slow_octets", octets_per_s=600.0)) as place:
        started = time.monotonic()
        async with session(place) as opened:
            assert await value(opened, SERIAL) == place.meter.identity.serial
        assert time.monotonic() - started > 0.25


async def test_a_connection_is_reset() -> None:
    async with faulty(fault("reset", chance=1.0)) as place:
        reader, writer = await asyncio.open_connection(place.meter.identity.host, place.server.port)
        writer.write(NO_REQUEST)
        with pytest.raises(ConnectionResetError):
            await reader.read(100)
        writer.close()
        with pytest.raises(LinkError):
            async with session(place):
                pass


async def test_a_connection_is_cut_in_the_middle_of_a_block_and_of_nothing_else() -> None:
    async with faulty(fault("drop_mid_block", chance=1.0)) as place:
        with pytest.raises(LinkError):  # noqa: PT012 - what is asked first must work
            async with session(place) as opened:
                assert await value(opened, SERIAL) == place.meter.identity.serial
                await opened.get(BLOCK_LOAD)
        assert struck(place, "drop_mid_block") == 1


async def test_the_rows_are_had_in_the_end_over_a_link_that_breaks_again_and_again() -> None:
    async with faulty(fault("drop_mid_block", chance=0.15), fault("reset", chance=0.03)) as place:
        whole = broken = 0
        while not (whole and broken):
            try:
                async with session(place) as opened:
                    rows = await value(opened, BLOCK_LOAD)
                assert isinstance(rows, list)
                assert len(rows) == len(place.meter.stored_starts())
                whole += 1
            except LinkError:
                broken += 1
            assert whole + broken < 100


async def test_hdlc_is_late_too() -> None:
    async with faulty(fault("latency", median_ms=10.0), fault("slow_octets", octets_per_s=20_000.0)) as place:
        async with session(place, scheme="hdlc+tcp") as opened:
            assert await value(opened, SERIAL) == place.meter.identity.serial
        assert struck(place, "latency") > 4


@asynccontextmanager
async def by_udp(place: Place) -> AsyncIterator[DatagramServer]:
    datagrams = DatagramServer(place.server.meters)
    await datagrams.start(place.server.port)
    try:
        yield datagrams
    finally:
        await datagrams.close()


@pytest.mark.parametrize("name", ["loss", "never_answers"])
async def test_datagrams_are_lost(name: str) -> None:
    figures = {"chance": 1.0} if name == "loss" else {}
    async with faulty(fault(name, **figures)) as place, by_udp(place):
        with pytest.raises(LinkTimeout):
            async with session(place, scheme="udp", timeout_s=SHORT_S):
                pass
        assert struck(place, name) >= 1


async def test_datagrams_are_late() -> None:
    async with faulty(fault("latency", median_ms=20.0)) as place, by_udp(place) as datagrams:
        async with session(place, scheme="udp") as opened:
            assert await value(opened, SERIAL) == place.meter.identity.serial
        assert datagrams.answers == struck(place, "latency") > 2


# --- of the protocol ------------------------------------------------------------------------------------------


async def test_a_block_with_a_wrong_number_ends_the_transfer() -> None:
    async with faulty(fault("wrong_block_number", chance=1.0)) as place:
        with pytest.raises(ProtocolError, match="block"):  # noqa: PT012 - what is asked first must work
            async with session(place) as opened:
                assert await value(opened, SERIAL) == place.meter.identity.serial
                await opened.get(BLOCK_LOAD)
        assert struck(place, "wrong_block_number") == 1


async def test_an_exception_response_comes_in_place_of_an_answer() -> None:
    async with faulty(fault("exception_response", chance=1.0)) as place:
        with pytest.raises(HeadEndError, match="exception"):
            async with session(place) as opened:
                await opened.get(SERIAL)
        assert struck(place, "exception_response") >= 1


async def test_an_association_is_refused_and_the_next_client_is_not_kept_out_by_it() -> None:
    async with faulty(fault("refuse_association", chance=0.5)) as place:
        refused = opened = 0
        while not (refused and opened):
            try:
                async with session(place) as one:
                    assert await value(one, SERIAL) == place.meter.identity.serial
                opened += 1
            except MeterBusy:
                refused += 1
                assert place.meter.holder is None
            assert refused + opened < 50
        assert refused == struck(place, "refuse_association")


async def test_a_meter_takes_one_connection_at_a_time() -> None:
    async with faulty(fault("one_association")) as place, session(place) as first:
        with pytest.raises(LinkError):
            async with session(place):
                pass
        assert await value(first, SERIAL) == place.meter.identity.serial


async def test_an_association_that_was_not_released_lingers_and_one_that_was_does_not() -> None:
    async with faulty(fault("one_association", lingers_s=1.0)) as place:
        async with session(place):
            pass
        async with session(place):
            for link in list(place.server.links):
                link.drop()
        with pytest.raises(MeterBusy):
            async with session(place):
                pass
        await asyncio.sleep(1.1)
        async with session(place) as opened:
            assert await value(opened, SERIAL) == place.meter.identity.serial
        assert struck(place, "one_association") >= 1


async def test_a_meter_that_has_seen_higher_counters_answers_those_above_them_alone() -> None:
    async with faulty(fault("counter_mismatch", ahead=5000.0)) as place:
        with pytest.raises(LinkError):
            async with session(place):
                pass
        place.counters = CounterRange(5001, 6000)
        async with session(place) as opened:
            assert await value(opened, SERIAL) == place.meter.identity.serial


async def test_a_meter_with_another_key_lets_nobody_in() -> None:
    async with faulty(fault("wrong_key")) as place:
        keys = Fleet(SEED, 1, {"Bhopal city": 1}, COMMISSIONED).keys(0)
        place.meter.keys, wrong = keys, place.meter.keys
        credentials = place.meter.client_credentials(place.setting, TITLE, place.counters)
        place.meter.keys = wrong
        address = parse_address(f"tcp://{place.meter.identity.host}:{place.server.port}")
        with pytest.raises(AccessDenied):
            async with open_session(address, METER_TYPE, place.setting, credentials):
                pass


# --- of the clock ---------------------------------------------------------------------------------------------


async def test_the_clock_is_where_it_drifted_to() -> None:
    async with faulty(fault("clock_drift", s_per_day=600.0)) as place, session(place) as opened:
        assert await value(opened, CLOCK) == place.meter.clock_octets()
        assert place.meter.now() - NOW.timestamp() == pytest.approx(600 * 1.484375)
