"""The program on a pseudo-terminal: what a person sees, and the keys that they press."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest
from terminal import HEADEND, LIMIT_S, Terminal


def take_terminal() -> None:
    """As a login does: Ctrl-C at it reaches the program."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Screen:
    """`headend` with these arguments, on a terminal of 120 columns."""

    def __init__(self, terminal: Terminal, *arguments: str | os.PathLike[str], **environment: str) -> None:
        self._screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
        self.process = subprocess.Popen(
            [HEADEND, *arguments],
            cwd=terminal.folder,
            env=terminal.environment | {"TERM": "xterm-256color", "COLUMNS": "120"} | environment,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(inside)
        self.seen = ""

    def shows(self, pattern: str) -> None:
        """Wait for it."""
        deadline = time.monotonic() + LIMIT_S
        while not re.search(pattern, self.seen):
            if not self._take(deadline - time.monotonic()):
                pytest.fail(f"{pattern!r} was never shown: {self.seen[-3000:]}", pytrace=False)

    def types(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def ends(self) -> int:
        """Wait for its end; its exit code."""
        deadline = time.monotonic() + LIMIT_S
        while self._take(deadline - time.monotonic()):
            pass
        os.close(self._screen)
        return self.process.wait(max(1.0, deadline - time.monotonic()))

    def _take(self, seconds: float) -> bool:
        if seconds <= 0 or not select.select([self._screen], [], [], seconds)[0]:
            self.process.kill()
            return False
        try:
            octets = os.read(self._screen, 65536)
        except OSError:
            return False  # the other end is gone: how a pseudo-terminal ends
        self.seen += octets.decode("utf-8", "replace")
        return bool(octets)
