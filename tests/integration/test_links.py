"""Sessions over every kind of link, with real sockets and pseudo-terminals beneath."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import lines
import pytest
from lines import BLOCK_LOAD, METER_TYPE, OBJECTS, SERIAL, Place

from drivers.address import Address, parse_address
from drivers.credentials import Credentials
from drivers.dlms import axdr
from drivers.dlms.client import Client
from drivers.dlms.wrapper import wrap
from drivers.links import open_link, replay_link
from drivers.links.hdlc import HdlcLink
from drivers.links.listen import Listener
from drivers.links.stream import TcpStream
from drivers.links.transcript import Transcript, read_transcript
from drivers.links.wrapper import WrapperLink
from drivers.session import run, session_on
from profiles.errors import LinkError, LinkTimeout, MeterBusy, ProtocolError

PATIENT = "timeout=20"
HASTY = "timeout=0.5"


async def reads_all(place: Place, address: str) -> None:
    """The serial number and the whole block load come over the link as the meter has them, ciphered."""
    async with place.session(address) as session:
        assert axdr.decode(await session.get(SERIAL)) == place.meter.identity.serial
        rows = axdr.decode(await session.get(BLOCK_LOAD))
    assert rows == [axdr.decode(row) for row in place.meter.rows(None)]
    assert len(rows) > 100
    assert place.meter.holder is None, "the association was left open"


# --- each link ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("more", ["", "&window=1&information=128", "&physical=17", "&physical=17&octets=4"])
async def test_hdlc_over_tcp(host: str, more: str) -> None:
    place = lines.served()
    async with lines.hdlc_meter(place, host) as address:
        await reads_all(place, f"{address}?{PATIENT}{more}")


async def test_hdlc_on_a_serial_port() -> None:
    place = lines.served()
    with lines.serial_meter(place) as terminal:
        await reads_all(place, f"serial://{terminal.path}?baud=19200&{PATIENT}")
        assert terminal.baud == 19200


@pytest.mark.parametrize("repeats", [True, False])
async def test_hdlc_after_a_mode_e_sign_on_at_the_meters_speed(repeats: bool) -> None:
    place = lines.served()
    with lines.mode_e_meter(place, repeats=repeats) as meter:
        await reads_all(place, f"serial://{meter.terminal.path}?mode=e&{PATIENT}")
        assert meter.speeds == [300, 9600]


async def test_a_mode_e_sign_on_that_the_meter_missed_is_repeated() -> None:
    place = lines.served()
    with lines.mode_e_meter(place, misses=1) as meter:
        await reads_all(place, f"serial://{meter.terminal.path}?mode=e&timeout=6")
        assert meter.misses == 0


async def test_hdlc_on_a_port_lent_by_a_serial_server() -> None:
    place = lines.served()
    with lines.serial_meter(place) as terminal, lines.serial_server(terminal.path) as port:
        await reads_all(place, f"rfc2217://127.0.0.1:{port}?baud=4800&{PATIENT}")
        assert terminal.baud == 4800


async def test_mode_e_on_a_port_lent_by_a_serial_server() -> None:
    place = lines.served()
    with lines.mode_e_meter(place) as meter, lines.serial_server(meter.terminal.path) as port:
        await reads_all(place, f"rfc2217://127.0.0.1:{port}?mode=e&{PATIENT}")
        assert meter.speeds == [300, 9600]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_wrapper_over_udp(host: str) -> None:
    place = lines.served()
    async with lines.udp_meter(place, host=host) as address:
        await reads_all(place, f"{address}?{PATIENT}")


async def test_datagrams_that_are_no_frames_or_another_clients_are_passed_over() -> None:
    for noise in (b"noise", b"\x00\x01\x00\x01", wrap(1, 48, b"cut")[:-1], wrap(7, 7, b"\xd8\x01\x01")):
        place = lines.served()
        async with lines.udp_meter(place, noise) as address:
            await reads_all(place, f"{address}?{PATIENT}")


async def test_a_meter_behind_a_gateway() -> None:
    place = lines.served()
    async with lines.gateway_meter(place, 3, b"\x0a\x0b") as address:
        await reads_all(place, f"{address}&{PATIENT}")


# --- a meter that calls in ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
async def test_a_meter_that_calls_in_is_read_over_its_own_connection(framing: str, host: str) -> None:
    place = lines.served()
    answer = place.hdlc().receive if framing == "hdlc" else lines.wrapper_answer(place, lines.bare)
    serials: list[object] = []
    read = asyncio.Event()

    async def handle(stream: TcpStream, peer: str) -> None:
        assert peer.startswith("[::1]:" if host == "::1" else "127.0.0.1:")
        link: HdlcLink | WrapperLink
        if framing == "hdlc":
            link = HdlcLink(stream, client=16, server=1, hdlc=parse_address("hdlc+tcp://h").hdlc, timeout_s=20)
            await link.connect()
        else:
            link = WrapperLink(stream, client=16, server=1, timeout_s=20)
        async with session_on(link, Client(METER_TYPE.associations["public"], Credentials())) as session:
            serials.append(axdr.decode(await session.get(SERIAL)))
        read.set()

    listener = Listener(handle, timeout_s=20)
    await listener.start(host)
    reader, writer = await asyncio.open_connection(host, listener.ports[0])
    async with asyncio.timeout(30):
        while not read.is_set() and (octets := await reader.read(65_536)):
            writer.write(answer(octets) or b"")
        await read.wait()
        assert await reader.read() == b"", "the connection was left open"
    writer.close()
    await listener.close()
    assert serials == [place.meter.identity.serial]
    assert listener.connections == 0


async def test_a_listener_bounds_its_connections_and_ends_them_when_it_closes() -> None:
    async def wait_for_ever(stream: TcpStream, peer: str) -> None:
        while True:
            await stream.receive(60)

    listener = Listener(wait_for_ever, timeout_s=5, max_connections=2)
    await listener.start("127.0.0.1")
    callers = [await asyncio.open_connection("127.0.0.1", listener.ports[0]) for _ in range(3)]
    async with asyncio.timeout(20):
        while listener.turned_away < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert listener.connections == 2
        await listener.close()
        for reader, writer in callers:
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
    assert listener.connections == 0


async def test_a_call_that_fails_ends_that_call_only() -> None:
    calls: list[str] = []

    async def fail(stream: TcpStream, peer: str) -> None:
        calls.append(peer)
        raise [ProtocolError("theirs"), RuntimeError("ours")][len(calls) % 2]

    listener = Listener(fail, timeout_s=5)
    await listener.start("127.0.0.1")
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.ports[0])
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
    assert len(calls) == 3
    with pytest.raises(LinkError, match="can't listen"):
        await Listener(fail, timeout_s=5).start("127.0.0.1", listener.ports[0])
    await listener.close()


# --- what goes wrong ------------------------------------------------------------------------------------------


async def ask_once(address: Address) -> bytes:
    link = await open_link(address, client=16, server=1)
    try:
        await link.send(b"\x60\x00")
        return await link.receive()
    finally:
        await link.close()


async def test_silence_ends_in_a_timeout_on_every_link() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    deaf.bind(("127.0.0.1", 0))
    terminal = lines.Terminal(lambda _: b"")
    try:
        for address in (
            f"hdlc+tcp://127.0.0.1:{silent.getsockname()[1]}",
            f"serial://{terminal.path}",
            f"serial:{terminal.path}?mode=e",
            f"rfc2217://127.0.0.1:{silent.getsockname()[1]}",
            f"udp://127.0.0.1:{deaf.getsockname()[1]}",
        ):
            place = parse_address(address + ("&" if "?" in address else "?") + HASTY)
            started = time.monotonic()
            with pytest.raises(LinkError):
                await ask_once(place)
            assert time.monotonic() - started < 15, address
    finally:
        silent.close()
        deaf.close()
        terminal.close()


async def test_a_closed_or_unknown_place_is_said_to_be_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    for address, told in [
        (f"hdlc+tcp://127.0.0.1:{port}", "refused"),
        (f"rfc2217://127.0.0.1:{port}", "can't be opened"),
        ("serial:///dev/no-such-port", "see the name of the port"),
    ]:
        with pytest.raises(LinkError, match=told):
            await open_link(parse_address(f"{address}?{HASTY}"), client=16, server=1)
    udp = await open_link(parse_address(f"udp://127.0.0.1:{port}?timeout=5"), client=16, server=1)
    await udp.send(b"\x60\x00")
    with pytest.raises(LinkError, match="refused"):
        await udp.receive()
    await udp.close()


async def test_a_port_in_use_is_busy_and_free_again_after_its_session() -> None:
    place = lines.served()
    with lines.serial_meter(place) as terminal:
        address = f"serial://{terminal.path}?{PATIENT}"
        async with place.session(address):
            with pytest.raises(MeterBusy, match="in use"):
                await open_link(parse_address(address), client=16, server=1)
        await reads_all(place, address)


async def test_cancellation_closes_the_port() -> None:
    place = lines.served()
    terminal = lines.Terminal(lambda _: b"")
    address = parse_address(f"serial://{terminal.path}?timeout=60")
    opening = asyncio.create_task(open_link(address, client=16, server=1))
    async with asyncio.timeout(20):
        while not terminal.heard:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    terminal._answer = place.hdlc().receive
    await reads_all(place, f"serial://{terminal.path}?{PATIENT}")
    terminal.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("serial")]


async def test_a_device_that_is_unplugged_is_a_broken_link() -> None:
    place = lines.served()
    terminal = lines.Terminal(place.hdlc().receive)
    link = await open_link(parse_address(f"serial://{terminal.path}?{PATIENT}"), client=16, server=1)
    asyncio.get_running_loop().remove_reader(terminal.master)
    os.close(terminal.master)
    os.close(terminal._slave)
    with pytest.raises(LinkError, match="failed"):
        await link.send(b"\x60\x00")
    await link.close()


@pytest.mark.parametrize(
    ("identification", "told"),
    [
        (b"/NRB5HC101", "does not know HDLC"),
        (b"/NRBAHC101", "no identification"),
        (b"garbage", "no identification"),
        (b"x" * 200, "no identification|within"),
    ],
)
async def test_a_meter_that_is_not_for_mode_e_is_said_not_to_be(identification: bytes, told: str) -> None:
    with lines.mode_e_meter(lines.served(), identification=identification) as meter:
        address = parse_address(f"serial://{meter.terminal.path}?mode=e&timeout=5")
        with pytest.raises((ProtocolError, LinkTimeout), match=told):
            await open_link(address, client=16, server=1)


async def test_an_optical_head_that_echoes_is_understood() -> None:
    place = lines.served()
    with lines.mode_e_meter(place, identification=b"/?!\r\n/NRB5\\2HC101") as meter:
        await reads_all(place, f"serial://{meter.terminal.path}?mode=e&{PATIENT}")


async def test_a_link_that_another_meter_answers_is_not_taken_for_ours() -> None:
    place = lines.served()
    async with lines.hdlc_meter(place) as address:
        with pytest.raises(LinkTimeout, match="SNRM"):
            await open_link(parse_address(f"{address}?physical=18&timeout=1"), client=16, server=1)
        with pytest.raises(ProtocolError, match="HDLC address"):
            await open_link(parse_address(f"{address}?{PATIENT}"), client=500, server=1)


# --- transcripts ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def on_link(place: Place, kind: str) -> AsyncIterator[str]:
    """The meter's address on a kind of link."""
    async with AsyncExitStack() as stack:
        if kind == "hdlc":
            yield await stack.enter_async_context(lines.hdlc_meter(place)) + f"?{PATIENT}"
        elif kind == "udp":
            yield await stack.enter_async_context(lines.udp_meter(place)) + f"?{PATIENT}"
        elif kind == "gateway":
            yield await stack.enter_async_context(lines.gateway_meter(place, 3, b"\x0a\x0b")) + f"&{PATIENT}"
        elif kind == "mode_e":
            yield f"serial:{stack.enter_context(lines.mode_e_meter(place)).terminal.path}?mode=e&{PATIENT}"
        else:
            assert kind == "tcp"
            answer = partial(lines.wrapper_answer, place, lines.bare)
            yield f"tcp://127.0.0.1:{await stack.enter_async_context(lines.on_socket(answer))}?{PATIENT}"


LINKS = ["tcp", "udp", "hdlc", "mode_e", "gateway"]


@pytest.mark.parametrize("kind", LINKS)
async def test_a_transcript_of_any_link_replays_without_the_meter(kind: str) -> None:
    place, text = lines.served(), io.StringIO()
    async with on_link(place, kind) as address, place.session(address, "public", Transcript(text)) as session:
        said = [await session.get(SERIAL), await session.get(OBJECTS)]
    (recording,) = read_transcript(text.getvalue())
    assert recording.title == f"{parse_address(address)} client 16 server 1"
    link = await replay_link(recording, parse_address(address), client=16, server=1)
    association = Client(METER_TYPE.associations["public"], place.credentials("public"))
    await run(association.open(), link)
    assert [await run(association.get(asked), link) for asked in (SERIAL, OBJECTS)] == said
    await run(association.release(), link)
    await link.close()
    with pytest.raises(LinkError, match=r"transcript ends|nothing sent|not connected"):
        await run(Client(METER_TYPE.associations["public"], place.credentials("public")).open(), link)


async def test_a_replay_notices_what_is_not_as_then() -> None:
    place, text = lines.served(), io.StringIO()
    async with on_link(place, "tcp") as address, place.session(address, "public", Transcript(text)) as session:
        await session.get(SERIAL)
    (recording,) = read_transcript(text.getvalue())
    link = await replay_link(recording, parse_address(address), client=16, server=1)
    association = Client(METER_TYPE.associations["public"], place.credentials("public"))
    await run(association.open(), link)
    with pytest.raises(LinkError, match="something else"):
        await run(association.get(OBJECTS), link)


@pytest.mark.parametrize("kind", LINKS)
async def test_no_password_stands_in_a_transcript_and_all_else_does(kind: str) -> None:
    place, text = lines.served(), io.StringIO()
    async with on_link(place, kind) as address, place.session(address, "meter_reader", Transcript(text)) as session:
        await session.get(SERIAL)
    told = text.getvalue()
    password = place.meter.keys.lls.octets
    assert password.hex(" ") not in told
    assert told.count(" **") == len(password) + 2 + (2 if kind in ("hdlc", "mode_e") else 0)
    assert lines.TITLE.hex(" ") in told
