"""`headend scan`: who answers on a bus, behind a probe, in a range of hosts, in silence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from lines import METER_TYPE, METERS, on_socket
from screen import Screen
from terminal import Meters, Terminal

from drivers.dlms import apdu as apdus
from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.hdlc.server import HdlcServer
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters

BUS = (17, 20, 23)


@pytest.fixture(scope="module")
def meters() -> dict[int, SimulatedMeter]:
    """By physical address."""
    fleet = Fleet(5, len(BUS), {"Bhopal city": 1}, datetime(2026, 1, 1, tzinfo=UTC))
    made = simulated_meters(fleet, METER_TYPE, lambda: datetime.now(UTC), SimulatedMeter)
    return dict(zip(BUS, made.values(), strict=True))


def bus_of(meters: dict[int, SimulatedMeter]) -> Callable[[bytes], bytes]:
    """All of them on one line: each hears everything, who is meant answers."""
    servers = [HdlcServer(one.connect(), physical=physical, offered=METERS) for physical, one in meters.items()]
    return lambda octets: b"".join(server.receive(octets) or b"" for server in servers)


def gateway_of(meters: dict[int, SimulatedMeter]) -> Callable[[bytes], bytes]:
    """A gateway that has them under their numbers, in one octet, and says nothing for others."""
    connections, frames = {number: one.connect() for number, one in meters.items()}, Unwrapper()

    def answer(octets: bytes) -> bytes:
        frames.feed(octets)
        replies = b""
        while (frame := frames.next()) is not None:
            request = apdus.decode(frame.apdu)
            assert isinstance(request, apdus.GatewayRequest)
            connection = connections.get(request.address[0])
            reply = connection and connection.handle(request.apdu, frame.source, frame.destination)
            if reply:
                header = apdus.GatewayResponse(request.network_id, request.address, reply)
                replies += wrap(frame.destination, frame.source, header.encode())
        return replies

    return answer


@contextlib.contextmanager
def by_tcp(make_answer: Callable[[], Callable[[bytes], bytes]]) -> Iterator[int]:
    """Its port, served by a thread."""
    loop, ports = asyncio.new_event_loop(), list[int]()
    stop, ready = asyncio.Event(), threading.Event()

    async def serve() -> None:
        async with on_socket(make_answer) as port:
            ports.append(port)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield ports[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def bus_by_serial(meters: dict[int, SimulatedMeter]) -> str:
    """A pseudo-terminal's path."""
    ours, theirs = pty.openpty()
    for end in (ours, theirs):
        tty.setraw(end)
    answer = bus_of(meters)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while octets := os.read(ours, 4096):
                os.write(ours, answer(octets))

    threading.Thread(target=serve, daemon=True).start()
    return os.ttyname(theirs)


def joined(one: int, other: int) -> None:
    """Octets of one pseudo-terminal to another, until either is gone."""
    with contextlib.suppress(OSError):
        while octets := os.read(one, 1024):
            os.write(other, octets)


def test_the_meters_of_a_bus_are_found_by_tcp_and_on_a_serial_port_and_say_who_they_are(
    terminal: Terminal, meters: dict[int, SimulatedMeter]
) -> None:
    serials = {physical: meter.identity.serial for physical, meter in meters.items()}
    with by_tcp(lambda: bus_of(meters)) as port:
        address = f"hdlc+tcp://127.0.0.1:{port}?physical=16-25"
        said = terminal.run("scan", address, "--timeout", "0.1", "--json").stdout
        scan = json.loads(said)
        assert {row["address"]: row["serial"] for row in scan["found"]} == {
            f"hdlc+tcp://127.0.0.1:{port}?physical={physical}": serial for physical, serial in serials.items()
        }
        assert (scan["places"], scan["asked"], scan["silent"], scan["complete"]) == (10, 10, {"silent": 7}, True)
        assert {(row["information"], row["window"], row["note"]) for row in scan["found"]} == {(128, 3, "")}
    path = bus_by_serial(meters)
    shown = terminal.run("scan", f"serial://{path}?physical=20-24", "--timeout", "0.1").stdout
    assert [line.split()[1] for line in shown.splitlines() if "physical=" in line] == [serials[20], serials[23]]
    assert "5 asked: 2 found, 3 silent" in shown


def test_the_meters_behind_a_gateway_are_found_one_after_the_other(
    terminal: Terminal, meters: dict[int, SimulatedMeter]
) -> None:
    with by_tcp(lambda: gateway_of(meters)) as port:
        address = f"tcp://127.0.0.1:{port}?gateway=10-18"
        scan = json.loads(terminal.run("scan", address, "--timeout", "0.2", "--json").stdout)
    assert {row["address"]: row["serial"] for row in scan["found"]} == {
        f"tcp://127.0.0.1:{port}?gateway={number:02x}&network=0": meters[number].identity.serial
        for number in meters
        if number <= 0x18
    }
    assert scan["silent"] == {"silent": 9 - len(scan["found"])}


def test_a_probe_that_wants_a_sign_on_is_found_last(terminal: Terminal) -> None:
    ends = [end for _ in range(2) for end in pty.openpty()]
    for end in ends:
        tty.setraw(end)
    ours, theirs, served, probe = ends
    for pair in ((ours, served), (served, ours)):
        threading.Thread(target=joined, args=pair, daemon=True).start()
    meters = terminal.meters(1, "--serial", os.ttyname(theirs), "--mode-e")
    path = os.ttyname(probe)
    arguments = ("--timeout", "0.1", "--json")
    found = json.loads(terminal.run("scan", f"serial://{path}?physical=16-17", *arguments).stdout)["found"]
    assert [(row["address"], row["serial"]) for row in found] == [(f"serial:{path}?mode=e", meters.rows[0]["serial"])]
    assert found[0]["sign_on"]
    meters.stop()


def test_ctrl_c_shows_what_was_found_and_a_terminal_shows_the_time_that_is_left(
    terminal: Terminal, meters: dict[int, SimulatedMeter]
) -> None:
    with by_tcp(lambda: bus_of(meters)) as port:
        screen = Screen(terminal, "scan", f"hdlc+tcp://127.0.0.1:{port}?physical=17-125", "--timeout", "0.5")
        screen.shows(r"asking.*[2-9]/109.*places, left.*\d:\d\d")
        screen.types(b"\x03")
        assert screen.ends() == 130
    assert meters[17].identity.serial in screen.seen
    assert "of 109, then broken off: 1 found" in screen.seen
    assert meters[17].holder is None


def test_a_silent_bus_is_given_up_with_exit_code_4_once_a_sign_on_was_tried_too(terminal: Terminal) -> None:
    quiet, ours = pty.openpty()
    for end in (quiet, ours):
        tty.setraw(end)
    done = terminal.run("scan", f"serial://{os.ttyname(ours)}?physical=16-17", "--timeout", "0.1", exit_code=4)
    assert "2 asked: 0 found, 2 silent" in done.stdout
    assert "nobody answers" in done.stderr
    heard = bytes(octet & 0x7F for octet in os.read(quiet, 4096))
    assert heard.endswith(b"/?!\r\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_range_of_hosts_is_asked_at_one_time_and_who_refuses_is_counted(terminal: Terminal, fleet: Meters) -> None:
    scan = json.loads(terminal.run("scan", f"tcp://127.1.0.1-6:{fleet.port}", "--json").stdout)
    assert [(row["address"], row["serial"]) for row in scan["found"]] == [
        (row["address"], row["serial"]) for row in fleet.rows
    ]
    with socket.create_server(("127.0.0.3", 0)) as mute:
        port = mute.getsockname()[1]
        done = terminal.run("scan", f"tcp://127.0.0.1-40:{port}", "--timeout", "0.2")
    assert "the port is open, but nothing there answers in DLMS" in done.stdout
    assert "40 asked: 1 found, 39 refused" in done.stdout
