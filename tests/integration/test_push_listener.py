"""Meters call in on real sockets: pushes by TCP and UDP, IPv4 and IPv6, in every framing; and callers that do harm."""

from __future__ import annotations

import asyncio
import io
import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from drivers.address import Hdlc
from drivers.credentials import CounterRange, Credentials
from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import DataNotification, DataNotificationConfirm, GatewayResponse, GeneralBlockTransfer
from drivers.dlms.block_transfer import BlockTransfer
from drivers.dlms.security import GeneralProtection, Key, Parties
from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.hdlc.addresses import server_address
from drivers.hdlc.server import unnumbered
from drivers.links.hdlc import HdlcLink
from drivers.links.stream import TcpStream
from drivers.links.transcript import ReplayStream, Transcript, read_transcript
from drivers.push import CLEAR, Arrival, Freshness, Push, PushingMeter, PushPolicy, ReplayWindow, accept, title_of
from drivers.push.listener import PushListener, serve_pushes
from drivers.push.receiver import PushReceiver
from drivers.push.reception import Limits
from profiles.errors import LinkError, SecurityError, StoreError

HEADEND = b"HES00001"
EK, AK = Key(bytes(range(16))), Key(bytes(range(0xD0, 0xE0)))
LIMIT_S = 60
HOSTS = ["127.0.0.1", "::1"]
PATIENT = Limits(idle_s=LIMIT_S, message_s=LIMIT_S, handle_s=LIMIT_S, send_s=LIMIT_S)
BOTH = PushPolicy(frozenset({CLEAR, 0x30}))


def title(number: int) -> bytes:
    return b"MTR" + number.to_bytes(5, "big")


class Meter:
    """The sending side of a push."""

    def __init__(self, number: int) -> None:
        self.title = title(number)
        self.protection = GeneralProtection(Parties(self.title, HEADEND, itertools.count(1).__next__), 0x30, EK, AK)

    def push(self, number: int, *, confirmed: bool = True) -> bytes:
        invoke_id = (0x4000_0000 if confirmed else 0) | number
        return self.protection.protect(DataNotification(invoke_id, axdr.uint32(number)).encode())

    def confirmed(self, answer: bytes) -> int:
        """The invoke-id that a confirmation confirms."""
        confirmation = apdu.decode(self.protection.unprotect(answer).plain)
        assert isinstance(confirmation, DataNotificationConfirm)
        return confirmation.invoke_id & 0xFF_FFFF


class Headend:
    """Looks up any meter whose title is one of ours, keeps what is new, and tells replays."""

    def __init__(self, policy: PushPolicy = BOTH) -> None:
        self.kept: list[Push] = []
        self.windows: dict[bytes, ReplayWindow] = {}
        self.told: Counter[Freshness] = Counter()
        self.news = asyncio.Event()
        self.counters = CounterRange(1, 1_000_000)
        self._policy = policy

    async def lookup(self, arrival: Arrival) -> PushingMeter | None:
        named = title_of(arrival.apdu) or (title(0) if arrival.route.source == 1 else b"")
        if named[:3] != b"MTR":
            return None
        return PushingMeter(named.hex(), named, Credentials(HEADEND, EK, AK, counters=self.counters), self._policy)

    async def keep(self, push: Push) -> None:
        if push.counter is not None:
            window, (word,) = accept(self.windows.get(push.title, ReplayWindow()), [push.counter])
            self.told[word] += 1
            if word is Freshness.TOO_OLD:
                raise SecurityError("a replay, or far too late")
            if word is Freshness.DUPLICATE:
                return
            self.windows[push.title] = window
        self.kept.append(push)
        self.news.set()

    @property
    def values(self) -> list[axdr.Value]:
        return [axdr.decode(push.notification.data) for push in self.kept]

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(LIMIT_S):
            while len(self.kept) < count:
                self.news.clear()
                await self.news.wait()

    @asynccontextmanager
    async def listening(self, host: str = "127.0.0.1", limits: Limits = PATIENT) -> AsyncIterator[PushListener]:
        async with serve_pushes(
            host, lookup=self.lookup, on_push=self.keep, tcp_port=0, udp_port=0, limits=limits
        ) as listener:
            yield listener


class Caller:
    """A meter's TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = Unwrapper()

    def send(self, octets: bytes) -> None:
        self._writer.write(octets)

    async def octets(self) -> bytes:
        """What comes next; b"" once the listener has closed, however it did."""
        with suppress(ConnectionError):
            async with asyncio.timeout(LIMIT_S):
                return await self._reader.read(65_536)
        return b""

    async def apdu(self) -> bytes:
        """The next APDU in a wrapper frame."""
        while (frame := self._frames.next()) is None:
            octets = await self.octets()
            assert octets, "closed instead of an answer"
            self._frames.feed(octets)
        assert (frame.source, frame.destination) == (64, 1)
        return frame.apdu


@asynccontextmanager
async def calling(host: str, port: int) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class Datagrams(asyncio.DatagramProtocol):
    """A meter's UDP socket."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.put_nowait(data)


@asynccontextmanager
async def sending(host: str, port: int) -> AsyncIterator[tuple[Callable[[bytes], None], asyncio.Queue[bytes]]]:
    transport, datagrams = await asyncio.get_running_loop().create_datagram_endpoint(
        Datagrams, remote_addr=(host, port)
    )
    try:
        yield transport.sendto, datagrams.heard
    finally:
        transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the other side of a socket
            await asyncio.sleep(0.01)


# --- TCP ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", HOSTS)
async def test_pushes_on_a_connection_are_kept_and_confirmed_under_the_same_cover(host: str) -> None:
    headend, meter = Headend(), Meter(1)
    async with headend.listening(host) as listener, calling(host, listener.tcp_ports[0]) as caller:
        for number in range(20):
            caller.send(wrap(1, 64, meter.push(number)))
            assert meter.confirmed(await caller.apdu()) == number
        assert headend.values == list(range(20))
        assert all(push.authenticated and push.title == meter.title for push in headend.kept)
        assert headend.kept[0].arrival.peer.startswith("[::1]:" if host == "::1" else "127.0.0.1:")
        assert (listener.kept, listener.refused, listener.failed, listener.connections) == (20, 0, 0, 1)


async def test_a_meter_that_pushes_and_hangs_up_at_once_has_pushed() -> None:
    headend = Headend()
    async with headend.listening() as listener:
        for number in range(5):
            async with calling("127.0.0.1", listener.tcp_ports[0]) as caller:
                caller.send(wrap(1, 64, Meter(number).push(number, confirmed=False)))
        await headend.wait_for(5)
        await until(lambda: listener.connections == 0)
    assert sorted(map(str, headend.values)) == [str(number) for number in range(5)]


async def test_each_call_is_recorded_in_a_transcript_of_its_own_and_can_be_received_again() -> None:
    headend, files = Headend(), {}

    def transcript_of(peer: str) -> Transcript:
        files[peer] = io.StringIO()
        transcript = Transcript(files[peer])
        transcript.begin(peer)
        return transcript

    async with serve_pushes(
        "127.0.0.1",
        lookup=headend.lookup,
        on_push=headend.keep,
        tcp_port=0,
        udp_port=None,
        limits=PATIENT,
        transcript_of=transcript_of,
    ) as listener:
        for number in range(2):
            async with calling("127.0.0.1", listener.tcp_ports[0]) as caller:
                caller.send(wrap(1, 64, Meter(number).push(number, confirmed=False)))
            await headend.wait_for(number + 1)
        await until(lambda: listener.connections == 0)
    assert len(files) == 2
    for push, (peer, file) in zip(headend.kept, files.items(), strict=True):
        (recording,) = read_transcript(file.getvalue())
        assert recording.title == peer == push.arrival.peer
        receiver = PushReceiver(peer)
        receiver.feed(await ReplayStream(recording).receive(1))
        assert receiver.next() == push.arrival


@pytest.mark.parametrize("pause", [False, True])
async def test_a_push_in_any_framing_may_come_in_any_pieces(pause: bool) -> None:
    headend, meter = Headend(), Meter(7)
    octets = [meter.push(number, confirmed=False) for number in range(4)]
    blocks = [octets[3][at : at + 20] for at in range(0, len(octets[3]), 20)]
    streams = [
        wrap(1, 64, octets[0]),
        unnumbered(64, server_address(1, 17), octets[1], 30),
        wrap(1, 64, GatewayResponse(3, b"12345", octets[2]).encode()),
        b"".join(
            wrap(1, 64, GeneralBlockTransfer(number == len(blocks), True, 0, number, 0, block).encode())
            for number, block in enumerate(blocks, 1)
        ),
    ]
    async with headend.listening() as listener:
        for count, stream in enumerate(streams, 1):
            async with calling("127.0.0.1", listener.tcp_ports[0]) as caller:
                for at in range(len(stream)):
                    caller.send(stream[at : at + 1])
                    await asyncio.sleep(0.001 if pause else 0)
                await headend.wait_for(count)
    assert headend.values == [0, 1, 2, 3]


async def test_a_caller_that_connects_by_hdlc_gets_its_confirmation_when_it_polls() -> None:
    headend, meter = Headend(), Meter(7)
    async with headend.listening() as listener:
        stream = await TcpStream.open("127.0.0.1", listener.tcp_ports[0], LIMIT_S, name="the listener")
        link = HdlcLink(stream, client=16, server=1, hdlc=Hdlc(), timeout_s=LIMIT_S)
        await link.connect()
        await link.send(meter.push(5))
        assert meter.confirmed(await link.receive()) == 5
        await link.close()
    assert headend.values == [5]


async def test_confirmed_blocks_that_get_lost_are_asked_for_again() -> None:
    headend, meter = Headend(), Meter(7)
    transfer = BlockTransfer(40, window=3)
    limits = replace(PATIENT, repeat_s=0.1)
    sent = 0
    async with headend.listening(limits=limits) as listener, calling("127.0.0.1", listener.tcp_ports[0]) as caller:
        said = transfer.start(meter.push(9, confirmed=False))
        while not transfer.delivered:
            for block in said:
                sent += 1
                if sent != 2:
                    caller.send(wrap(1, 64, block))
            said = transfer.handle(await caller.apdu())
        await headend.wait_for(1)
    assert headend.values == [9]


# --- UDP ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", HOSTS)
async def test_pushes_in_datagrams_are_kept_and_confirmed(host: str) -> None:
    headend, meter = Headend(), Meter(1)
    async with headend.listening(host) as listener, sending(host, listener.udp_ports[0]) as (send, heard):
        for number in range(20):
            framed = number % 2 == 0
            push = meter.push(number)
            send(wrap(1, 64, push) if framed else push)
            answer = await asyncio.wait_for(heard.get(), LIMIT_S)
            assert meter.confirmed(answer[8:] if framed else answer) == number
        assert (listener.kept, listener.refused) == (20, 0)
    assert headend.values == list(range(20))


async def test_blocks_in_datagrams_are_joined_and_asked_for_again() -> None:
    headend, meter = Headend(), Meter(1)
    transfer, limits = BlockTransfer(40, window=3), replace(PATIENT, repeat_s=0.1)
    async with headend.listening(limits=limits) as listener:
        async with sending("127.0.0.1", listener.udp_ports[0]) as (send, heard):
            said, sent = transfer.start(meter.push(9, confirmed=False)), 0
            while not transfer.delivered:
                for block in said:
                    sent += 1
                    if sent != 2:
                        send(block)
                said = transfer.handle(await asyncio.wait_for(heard.get(), LIMIT_S))
            await headend.wait_for(1)
        assert headend.values == [9]
        assert listener.refused == 0


async def test_datagrams_that_are_no_pushes_are_refused_and_change_nothing_for_the_others() -> None:
    headend, meter = Headend(), Meter(1)
    async with headend.listening() as listener, sending("127.0.0.1", listener.udp_ports[0]) as (send, heard):
        for junk in (b"", b"junk", bytes(2000), b"\x7e" * 50, wrap(1, 64, b"\x0f")[:-1], wrap(1, 64, b"\x60\x00")):
            send(junk)
            send(meter.push(1, confirmed=False))
        await headend.wait_for(6)
        assert listener.refused == 4
        assert heard.empty()


async def test_datagrams_beyond_what_is_handled_at_one_time_are_dropped_and_counted() -> None:
    headend, meter = Headend(), Meter(1)
    gate = asyncio.Event()

    async def keep(push: Push) -> None:
        await gate.wait()
        await headend.keep(push)

    limits = replace(PATIENT, max_waiting=3)
    async with (
        serve_pushes(
            "127.0.0.1", lookup=headend.lookup, on_push=keep, tcp_port=None, udp_port=0, limits=limits
        ) as all_,
        sending("127.0.0.1", all_.udp_ports[0]) as (send, _),
    ):
        assert all_.tcp_ports == ()
        for number in range(8):
            send(meter.push(number, confirmed=False))
        await until(lambda: all_.turned_away == 5)
        gate.set()
        await headend.wait_for(3)
    assert headend.values == [0, 1, 2]


async def test_what_is_half_received_in_datagrams_is_forgotten_in_time_and_bounded() -> None:
    headend = Headend()
    block = GeneralBlockTransfer(False, True, 0, 1, 0, b"\x0f").encode()
    limits = replace(PATIENT, max_senders=2, message_s=0.2, repeat_s=0.1)
    async with headend.listening(limits=limits) as listener:
        (datagrams,) = listener._datagrams
        for _ in range(4):
            async with sending("127.0.0.1", listener.udp_ports[0]) as (send, _):
                send(block)
                await asyncio.sleep(0.01)
        assert len(datagrams._senders) <= 2
        await until(lambda: len(datagrams._senders) == 0)


# --- refusals -------------------------------------------------------------------------------------------------


def spoilt() -> dict[str, Callable[[Meter], bytes]]:
    def flipped(place: int) -> Callable[[Meter], bytes]:
        def make(meter: Meter) -> bytes:
            octets = bytearray(meter.push(1))
            octets[place] ^= 1
            return bytes(octets)

        return make

    def lower(meter: Meter) -> bytes:
        parties = Parties(meter.title, HEADEND, itertools.count(1).__next__)
        return GeneralProtection(parties, 0x20, EK, AK).protect(DataNotification(1, axdr.null()).encode())

    return {
        "ciphertext flipped": flipped(-20),
        "tag flipped": flipped(-1),
        "tag zeroed": lambda meter: meter.push(1)[:-12] + bytes(12),
        "title of another meter": lambda meter: meter.push(1).replace(meter.title, title(0xBAD)),
        "title of nobody": lambda meter: meter.push(1).replace(meter.title, b"NOBODY00"),
        "lower protection": lower,
        "plaintext": lambda _: DataNotification(1, axdr.null()).encode(),
        "no notification": lambda meter: meter.protection.protect(bytes.fromhex("c001c100080000010000ff0200")),
        "another kind of APDU": lambda _: bytes.fromhex(
            "601da109060760857405080101be10040e01000000065f1f0400001e1dffff"
        ),
        "garbage behind the tag": lambda _: b"\xdb" + bytes(range(40)),
    }


@pytest.mark.parametrize("attack", spoilt())
async def test_an_altered_push_is_refused_unanswered_and_the_next_good_one_is_kept(attack: str) -> None:
    headend, meter = Headend(PushPolicy()), Meter(1)
    async with headend.listening() as listener:
        async with calling("127.0.0.1", listener.tcp_ports[0]) as caller:
            caller.send(wrap(1, 64, spoilt()[attack](meter)) + wrap(1, 64, meter.push(2)))
            assert meter.confirmed(await caller.apdu()) == 2
        async with sending("127.0.0.1", listener.udp_ports[0]) as (send, heard):
            send(wrap(1, 64, spoilt()[attack](meter)))
            send(wrap(1, 64, meter.push(3)))
            assert meter.confirmed((await asyncio.wait_for(heard.get(), LIMIT_S))[8:]) == 3
        assert (listener.refused, listener.kept) == (2, 2)
    assert headend.values == [2, 3]


async def test_a_replayed_push_is_kept_once_and_confirmed_again_and_a_stale_one_is_refused() -> None:
    headend, meter = Headend(PushPolicy()), Meter(1)
    stale = meter.push(0)
    pushes = [meter.push(number) for number in range(1, 101)]
    async with headend.listening() as listener, calling("127.0.0.1", listener.tcp_ports[0]) as caller:
        for push in (pushes[0], pushes[0], *pushes[1:]):
            caller.send(wrap(1, 64, push))
            meter.confirmed(await caller.apdu())
        caller.send(wrap(1, 64, stale) + wrap(1, 64, pushes[-1]))
        assert meter.confirmed(await caller.apdu()) == 100
        assert (listener.refused, listener.kept) == (1, 102)
    assert headend.values == list(range(1, 101))
    assert headend.told == {Freshness.NEW: 100, Freshness.DUPLICATE: 2, Freshness.TOO_OLD: 1}


async def test_a_caller_whose_pushes_are_all_refused_is_cut_off() -> None:
    headend = Headend(PushPolicy())
    async with headend.listening(limits=replace(PATIENT, max_refused=3)) as listener:
        async with calling("127.0.0.1", listener.tcp_ports[0]) as caller:
            caller.send(wrap(1, 64, DataNotification(1, axdr.null()).encode()) * 1000)
            assert await caller.octets() == b""
        assert listener.kept == 0
        assert 3 <= listener.refused <= 3 + Limits().max_at_once


async def test_pushes_of_one_connection_are_kept_side_by_side_up_to_a_bound() -> None:
    headend, meters = Headend(), [Meter(number) for number in range(30)]
    gate, under_way, most = asyncio.Event(), 0, 0

    async def keep(push: Push) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await gate.wait()
        under_way -= 1
        await headend.keep(push)

    limits = replace(PATIENT, max_at_once=7)
    async with (
        serve_pushes("127.0.0.1", lookup=headend.lookup, on_push=keep, tcp_port=0, udp_port=None, limits=limits) as our,
        calling("127.0.0.1", our.tcp_ports[0]) as concentrator,
    ):
        concentrator.send(b"".join(wrap(1, 64, meter.push(number)) for number, meter in enumerate(meters)))
        await until(lambda: under_way == 7)
        gate.set()
        answers = [await concentrator.apdu() for _ in meters]
    assert most == 7
    assert sorted(map(str, headend.values)) == sorted(map(str, range(30)))
    assert len(set(answers)) == 30


async def test_what_came_whole_before_garbage_is_kept_and_confirmed() -> None:
    headend, meter = Headend(), Meter(1)
    async with headend.listening() as listener, calling("127.0.0.1", listener.tcp_ports[0]) as caller:
        caller.send(wrap(1, 64, meter.push(1)) + b"garbage!")
        assert meter.confirmed(await caller.apdu()) == 1
        assert await caller.octets() == b""
        assert (listener.kept, listener.refused) == (1, 1)


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(100),
        b"\x00\x01\x00\x01\x00\x40\x00\x00",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x0f",
    ],
)
async def test_who_does_not_speak_our_framings_is_cut_off(octets: bytes) -> None:
    headend = Headend()
    async with headend.listening() as listener, calling("127.0.0.1", listener.tcp_ports[0]) as caller:
        caller.send(octets)
        assert await caller.octets() == b""
        assert listener.refused == 1


# --- patience -------------------------------------------------------------------------------------------------


async def test_a_silent_caller_is_cut_off() -> None:
    headend = Headend()
    async with headend.listening(limits=replace(PATIENT, idle_s=0.2)) as listener:
        async with calling("127.0.0.1", listener.tcp_ports[0]) as caller:
            assert await caller.octets() == b""
        await until(lambda: listener.connections == 0)


@pytest.mark.parametrize("drip", [b"\x7e", b"\x00\x01\x00\x01\x00\x40\xff\xff" + bytes(60_000)])
async def test_a_caller_that_sends_for_ever_without_a_whole_push_is_cut_off(drip: bytes) -> None:
    headend = Headend()
    limits = replace(PATIENT, idle_s=1.0, message_s=0.5)
    async with headend.listening(limits=limits) as listener, calling("127.0.0.1", listener.tcp_ports[0]) as caller:
        closed = asyncio.create_task(caller.octets())
        for at in itertools.cycle(range(len(drip))):
            if closed.done():
                break
            caller.send(drip[at : at + 1])
            await asyncio.sleep(0.01)
        assert await closed == b""
        await until(lambda: listener.connections == 0)


async def test_a_caller_that_never_reads_its_confirmations_is_cut_off() -> None:
    headend, limits = Headend(), replace(PATIENT, send_s=0.3)
    clear = DataNotification(0x4000_0001, axdr.null()).encode()
    push = wrap(1, 64, GatewayResponse(0, bytes(60_000), clear).encode())  # so that the answer is long too
    async with headend.listening(limits=limits) as listener:
        deaf = socket.create_connection(("127.0.0.1", listener.tcp_ports[0]))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            async with asyncio.timeout(LIMIT_S):
                while True:
                    await loop.sock_sendall(deaf, push)
        deaf.close()
        await until(lambda: listener.connections == 0)
    assert headend.kept


async def test_a_store_that_takes_too_long_or_fails_ends_the_call_without_a_confirmation() -> None:
    headend, meter = Headend(), Meter(1)
    failures: list[Callable[[], Awaitable[None]]] = []

    async def hangs() -> None:
        await asyncio.sleep(LIMIT_S)

    async def is_away() -> None:
        raise StoreError("the database is away")

    async def is_wrong() -> None:
        raise RuntimeError("our fault")

    async def keep(push: Push) -> None:
        if failures:
            await failures[-1]()
        await headend.keep(push)

    limits = replace(PATIENT, handle_s=0.3)
    async with serve_pushes(
        "127.0.0.1", lookup=headend.lookup, on_push=keep, tcp_port=0, udp_port=0, limits=limits
    ) as listener:
        for count, failure in enumerate((hangs, is_away, is_wrong), 1):
            failures.append(failure)
            push = wrap(1, 64, meter.push(count))
            async with calling("127.0.0.1", listener.tcp_ports[0]) as caller:
                caller.send(push)
                assert await caller.octets() == b"", "confirmed though it was not kept"
            async with sending("127.0.0.1", listener.udp_ports[0]) as (send, heard):
                send(push)
                await until(lambda: listener.failed == 2 * count)  # noqa: B023 - awaited here
                assert heard.empty()
            failures.clear()
            async with calling("127.0.0.1", listener.tcp_ports[0]) as caller:
                caller.send(push)
                assert meter.confirmed(await caller.apdu()) == count
        assert (listener.kept, listener.refused) == (3, 0)
    assert headend.values == [1, 2, 3]


async def test_a_meter_that_hangs_up_before_it_is_confirmed_has_pushed_all_the_same() -> None:
    headend, meter, gate = Headend(), Meter(1), asyncio.Event()

    async def keep(push: Push) -> None:
        await gate.wait()
        await headend.keep(push)

    async with serve_pushes(
        "127.0.0.1", lookup=headend.lookup, on_push=keep, tcp_port=0, udp_port=None, limits=PATIENT
    ) as listener:
        async with calling("127.0.0.1", listener.tcp_ports[0]) as caller:
            caller.send(b"".join(wrap(1, 64, meter.push(number)) for number in range(20)))
            await until(lambda: listener.connections == 1)
        await asyncio.sleep(0.05)
        gate.set()
        await headend.wait_for(20)
        await until(lambda: listener.connections == 0)
    assert headend.values == list(range(20))


async def test_a_push_that_is_not_kept_takes_none_beside_it_along() -> None:
    headend, meter = Headend(), Meter(1)

    async def keep(push: Push) -> None:
        if axdr.decode(push.notification.data) == 0:
            raise StoreError("the database is away")
        await asyncio.sleep(0.1)
        await headend.keep(push)

    async with (
        serve_pushes(
            "127.0.0.1", lookup=headend.lookup, on_push=keep, tcp_port=0, udp_port=None, limits=PATIENT
        ) as our,
        calling("127.0.0.1", our.tcp_ports[0]) as caller,
    ):
        caller.send(b"".join(wrap(1, 64, meter.push(number)) for number in range(3)))
        assert await caller.octets() == b""
        await headend.wait_for(2)
        assert (our.failed, our.refused) == (1, 0)
    assert headend.values == [1, 2]


# --- many -----------------------------------------------------------------------------------------------------


async def test_a_thousand_meters_call_in_at_once() -> None:
    headend, count = Headend(PushPolicy()), 1000
    limits = replace(PATIENT, max_connections=count, max_per_source=count)
    meters = [Meter(number) for number in range(count)]
    async with headend.listening(limits=limits) as listener:
        connected = asyncio.Barrier(count)

        async def call(number: int, meter: Meter) -> None:
            async with calling("127.0.0.1", listener.tcp_ports[0]) as caller:
                async with asyncio.timeout(2 * LIMIT_S):
                    await connected.wait()
                caller.send(wrap(1, 64, meter.push(number)))
                assert meter.confirmed(await caller.apdu()) == number

        await asyncio.gather(*(call(number, meter) for number, meter in enumerate(meters)))
        assert (listener.kept, listener.refused, listener.turned_away) == (count, 0, 0)
        await until(lambda: listener.connections == 0)
    assert {push.title: axdr.decode(push.notification.data) for push in headend.kept} == {
        meter.title: number for number, meter in enumerate(meters)
    }


async def test_one_source_does_not_take_all_the_room() -> None:
    headend, limits = Headend(), replace(PATIENT, max_connections=5, max_per_source=2)
    async with headend.listening(limits=limits) as listener:
        port = listener.tcp_ports[0]
        greedy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        await until(lambda: listener.turned_away == 2)
        assert listener.connections == 2
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        meter = Meter(1)
        writer.write(wrap(1, 64, meter.push(1, confirmed=False)))
        await headend.wait_for(1)
        for _, open_one in greedy:
            open_one.close()
        await until(lambda: listener.connections == 1)
        async with calling("127.0.0.1", port) as caller:
            caller.send(wrap(1, 64, meter.push(2)))
            assert meter.confirmed(await caller.apdu()) == 2
        writer.close()
        assert reader is not None


async def test_the_listener_closes_every_socket_and_leaves_no_task() -> None:
    headend, before = Headend(), asyncio.all_tasks()
    async with headend.listening() as listener:
        tcp, udp = listener.tcp_ports[0], listener.udp_ports[0]
        callers = [await asyncio.open_connection("127.0.0.1", tcp) for _ in range(20)]
        await until(lambda: listener.connections == 20)
        with pytest.raises(LinkError, match="can't listen"):
            async with serve_pushes(
                "127.0.0.1", lookup=headend.lookup, on_push=headend.keep, tcp_port=tcp, udp_port=None
            ):
                pass
        with pytest.raises(LinkError, match="can't listen"):
            async with serve_pushes(
                "127.0.0.1", lookup=headend.lookup, on_push=headend.keep, tcp_port=None, udp_port=udp
            ):
                pass
    for reader, writer in callers:
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""
        writer.close()
    await until(lambda: asyncio.all_tasks() == before)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", tcp)
    again = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    again.bind(("127.0.0.1", udp))
    again.close()


async def test_without_a_host_it_listens_on_both_families() -> None:
    headend = Headend()
    async with serve_pushes(lookup=headend.lookup, on_push=headend.keep, tcp_port=0, udp_port=0) as listener:
        assert len(listener.udp_ports) == 2
        for number, (host, port) in enumerate(zip(("0.0.0.0", "::"), sorted_ports(listener), strict=True)):
            async with sending(host.replace("0.0.0.0", "127.0.0.1").replace("::", "::1"), port) as (send, _):
                send(Meter(number).push(number, confirmed=False))
                await headend.wait_for(number + 1)


def sorted_ports(listener: PushListener) -> list[int]:
    """The UDP port of IPv4, then that of IPv6."""
    families = {
        datagrams._transport.get_extra_info("socket").family: datagrams.port for datagrams in listener._datagrams
    }
    return [families[socket.AF_INET], families[socket.AF_INET6]]
