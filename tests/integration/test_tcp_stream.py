"""A TCP connection as octets: bursts, floods, silence, half and broken connections; on asyncio and on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from drivers.links.stream import MAX_WAITING, TcpStream
from profiles.errors import LinkError, LinkTimeout

PATIENT_S = 20.0
FLOOD = 32 * 1024 * 1024
"""More than both ends of a connection buffer in the system."""

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario on one of the two loops."""
    found: Run = request.param
    return found


@asynccontextmanager
async def connected(timeout_s: float = PATIENT_S) -> AsyncIterator[tuple[TcpStream, socket.socket]]:
    """A stream, and the bare socket of its other side."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        stream = await TcpStream.open("127.0.0.1", listener.getsockname()[1], timeout_s, name="the meter")
        other, _ = await loop.sock_accept(listener)
    with other:
        other.setblocking(False)
        try:
            yield stream, other
        finally:
            async with asyncio.timeout(PATIENT_S):
                await stream.close()


async def say(other: socket.socket, octets: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(other, octets)


def test_what_comes_in_pieces_is_given_as_it_comes(run: Run) -> None:
    async def scenario() -> None:
        async with connected() as (stream, other):
            for piece in (b"one", b"two"):
                await say(other, piece)
                assert await stream.receive(PATIENT_S) == piece
            await stream.send(b"three")
            assert await asyncio.get_running_loop().sock_recv(other, 10) == b"three"

    run(scenario())


def test_nothing_in_time_is_nothing_and_what_comes_later_is_not_lost(run: Run) -> None:
    async def scenario() -> None:
        async with connected() as (stream, other):
            assert await stream.receive(0.01) == await stream.receive(0) == b""
            await say(other, b"late")
            assert await stream.receive(PATIENT_S) == b"late"

    run(scenario())


def test_a_wait_begun_when_another_is_nearly_over_ends_in_its_own_time(run: Run) -> None:
    async def scenario() -> None:
        async with connected() as (stream, _):
            waits = (stream.receive(0.0001), stream.receive(0.05), stream.receive(0.0))
            assert await asyncio.gather(*waits) == [b""] * 3

    run(scenario())


def test_a_wait_that_is_cancelled_takes_nothing_with_it(run: Run) -> None:
    async def scenario() -> None:
        async with connected() as (stream, other):
            waiting = asyncio.ensure_future(stream.receive(PATIENT_S))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            await say(other, b"after")
            assert await stream.receive(PATIENT_S) == b"after"

    run(scenario())


def test_a_flood_waits_on_the_other_side_and_arrives_whole(run: Run) -> None:
    flood = bytes(range(256)) * (FLOOD // 256)

    async def scenario() -> None:
        async with connected() as (stream, other):
            saying = asyncio.ensure_future(say(other, flood))
            assert not (await asyncio.wait([saying], timeout=0.5))[0], "all of it was taken, though nobody fetched it"
            arrived, count = hashlib.sha256(), 0
            while count < FLOOD:
                octets = await stream.receive(PATIENT_S)
                # What is read at one time comes on top of what waits already.
                assert 0 < len(octets) <= MAX_WAITING + 256 * 1024
                arrived.update(octets)
                count += len(octets)
            await saying
            assert arrived.digest() == hashlib.sha256(flood).digest()

    run(scenario())


def test_a_meter_that_takes_nothing_ends_sending_in_a_timeout(run: Run) -> None:
    async def scenario() -> None:
        async with connected(timeout_s=0.3) as (stream, _):
            with pytest.raises(LinkTimeout, match="took nothing more"):
                await stream.send(bytes(FLOOD))

    run(scenario())


def test_last_words_are_given_before_the_end_is_told(run: Run) -> None:
    async def scenario() -> None:
        async with connected() as (stream, other):
            await say(other, b"last")
            other.shutdown(socket.SHUT_WR)
            await asyncio.sleep(0.05)
            assert await stream.receive(PATIENT_S) == b"last"
            for _ in range(2):
                with pytest.raises(LinkError, match="closed the connection without an answer"):
                    await stream.receive(PATIENT_S)
            await stream.send(b"you may still listen")
            assert await asyncio.get_running_loop().sock_recv(other, 100) == b"you may still listen"

    run(scenario())


def test_a_connection_that_breaks_ends_every_wait_in_an_error(run: Run) -> None:
    async def scenario() -> None:
        async with connected() as (stream, other):
            waiting = asyncio.ensure_future(stream.receive(PATIENT_S))
            await asyncio.sleep(0.01)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            other.close()  # with a reset
            with pytest.raises(LinkError, match="connection"):
                await waiting
            await asyncio.sleep(0.05)
            with pytest.raises(LinkError, match="while sending"):
                await stream.send(b"anybody?")

    run(scenario())


def test_closing_twice_and_sending_then_is_no_crash(run: Run) -> None:
    async def scenario() -> None:
        async with connected() as (stream, _):
            await stream.close()
            with pytest.raises(LinkError):
                await stream.send(b"too late")
            with pytest.raises(LinkError):
                await stream.receive(PATIENT_S)

    run(scenario())


def test_a_port_that_nobody_listens_on_is_refused(run: Run) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(LinkError, match="the meter refused the connection"):
            await TcpStream.open("127.0.0.1", port, PATIENT_S, name="the meter")

    run(scenario())
