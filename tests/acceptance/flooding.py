"""Pushes of meters that nobody knows, as many as wanted, to a listener by TCP."""

from __future__ import annotations

import contextlib
import socket

HEADER = bytes.fromhex("0001 0001 0040")
"""Version and ports of a wrapper frame from a meter's push association."""


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def unknown_push(number: int) -> bytes:
    """A data-notification in clear, whose one element is the identifier of a device that nobody knows."""
    device = b"UNKNOWN%08d" % number
    apdu = b"\x0f\x00\x00\x00\x01\x00\x02\x01\x09" + bytes([len(device)]) + device
    return HEADER + len(apdu).to_bytes(2, "big") + apdu


def flood(port: int, pushes: int) -> int:
    """Send these; how many of them before the other end had enough, over as many connections as that takes."""
    sent = 0
    while sent < pushes:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 20) as connection:
            for _ in range(min(90, pushes - sent)):
                connection.sendall(unknown_push(sent))
                sent += 1
    return sent
