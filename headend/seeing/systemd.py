"""What the service manager is told (sd_notify(3)): ready, reloading, stopping, and that all parts are alive.

The one rule: a ping is sent only while no part hangs. A loop that hangs sends none either, and systemd starts the
daemon anew.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Final

import structlog

LEAST_S: Final = 0.1
"""Between two pings."""

log = structlog.get_logger(__name__)


def notify(*lines: str) -> None:
    """Send `lines` (`READY=1` …) to the service manager, if there is one; never waits, never fails."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.setblocking(False)
        try:
            manager.sendto("\n".join(lines).encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
        except OSError as error:
            log.warning("systemd_not_told", lines=lines, reason=error.strerror)


def ready(status: str) -> None:
    """It has begun, or has reloaded."""
    notify("READY=1", f"STATUS={status}")


def reloading() -> None:
    """It reloads, until `ready`."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """It ends."""
    notify("STOPPING=1", "STATUS=ending open sessions")


def watchdog_s() -> float | None:
    """How often systemd wants a ping, at least; None: it wants none of this process."""
    text, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or int(text) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1e6


async def ping(hanging: Callable[[], list[str]]) -> None:
    """Ping until cancelled, as long as nothing hangs; returns at once where no pings are wanted."""
    period = watchdog_s()
    while period is not None:
        parts = hanging()
        if parts:
            log.error("hanging", parts=parts, remedy="systemd starts the daemon anew")
            notify(f"STATUS=hangs: {', '.join(parts)}")
        else:
            notify("WATCHDOG=1")
        await asyncio.sleep(max(LEAST_S, period / 3))
