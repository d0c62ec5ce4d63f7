"""A flood of pushes from unknown senders, connections that never say a thing, others that say it octet by octet: memory
stays bounded, who is slow is cut off, and the meters are collected meanwhile."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from campaign import Campaign
from flooding import HEADER, answers, flood
from terminal import Program, free_port, wait_until

MOST_MB, MOST_MB_IN_FULL = 100, 350
"""That the daemon may grow by; in full 5000 connections (25 KiB each), a line of 10 000 pushes (10 KiB each), a month
of 300 meters (100 MB) are held at once, however long it lasts."""
MOST_DISCOVERED = 100


def resident_mb(program: Program) -> float:
    """The most that its process has held in memory."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


@contextlib.contextmanager
def connections(count: int, port: int) -> Iterator[list[socket.socket]]:
    """Each group of 200 from a host of its own."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 20, (f"127.9.9.{1 + n // 200}", 0)))
            for n in range(count)
        ]


def closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_flood_and_idle_and_slow_connections_cost_neither_memory_nor_readings(campaign: Campaign) -> None:
    meters = campaign.terminal.meters(campaign.scale.pick(10, 300), days=campaign.scale.pick(2, 30))
    campaign.register(meters)
    port, idle_s = free_port(), campaign.scale.pick(3, 60)
    daemon = campaign.node(
        PUSH__LISTEN=json.dumps([f"tcp://127.0.0.1:{port}"]),
        PUSH__IDLE_S=str(idle_s),
        PUSH__MESSAGE_S="2",
        PUSH__MAX_DISCOVERED=str(MOST_DISCOVERED),
    )
    wait_until(lambda: answers(port), "the listener")
    before = resident_mb(daemon)
    with connections(campaign.scale.pick(400, 5000), port) as idle, connections(20, port) as slow:
        pushes = flood(port, campaign.scale.pick(2000, 500_000))
        begun = time.monotonic()
        for octet in HEADER + b"\x01":
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.sendall(bytes([octet]))
            time.sleep(0.5)
        wait_until(lambda: all(map(closed, slow)), "the end of the slow ones")
        slow_s = time.monotonic() - begun
        wait_until(lambda: all(map(closed, idle)), "the end of the idle ones", idle_s + 60)
    campaign.until(lambda: campaign.complete(meters), "every interval")
    grown = resident_mb(daemon) - before
    assert grown < campaign.scale.pick(MOST_MB, MOST_MB_IN_FULL)
    assert daemon.stop() == 0
    [(discovered,)] = campaign.ask("SELECT count(*) FROM discovered_meter")
    assert 0 < discovered <= MOST_DISCOVERED
    campaign.figures |= {
        "pushes": pushes,
        "idle": len(idle),
        "slow cut after_s": round(slow_s),
        "grown_mb": round(grown),
    }
    campaign.check(meters)
