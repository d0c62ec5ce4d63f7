"""A window with a shell in it, as a person has one, and what stands on it.

The one rule: what is shown is what a terminal would show; what a program wrote over is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable
from pathlib import Path

from screen import take_terminal
from terminal import heed_ctrl_c, wait_until

_WIDTH = 100
_PIECES = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|[\r\n\b]|[^\x1b\r\n\b]+")


def _log_in() -> None:
    take_terminal()
    heed_ctrl_c()


class Window:
    """`bash` on a terminal of 100 columns, in this folder and with this environment."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _WIDTH, 0, 0))
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "--noediting", "-i"],
            cwd=folder,
            env=environment | {"TERM": "xterm-256color", "PS1": "$ "},
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            preexec_fn=_log_in,
        )
        os.close(inside)
        self._seen = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.waits(lambda lines: lines == ["$"], "a prompt")

    def types(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def wipe(self) -> None:
        """Forget what stands there."""
        self._seen = ""

    def waits(self, enough: Callable[[list[str]], bool], what: str) -> None:
        """Until the lines that stand there, without blank ones and blanks at the ends, are enough."""

        def lines() -> list[str]:
            return [line.rstrip() for line in shown(self._seen) if line.strip()]

        try:
            wait_until(lambda: enough(lines()), what)
        except BaseException:
            print("\n".join(lines()))  # the whole of it: a failure tells its end alone
            raise

    def close(self) -> None:
        """What runs in it is hung up on, as by a person who closes a window."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGHUP)
        try:
            self._shell.wait(10)
        finally:
            self._shell.kill()
            self._shell.wait()
        self._reader.join(10)
        os.close(self._screen)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # how a pseudo-terminal ends whose other end is gone
            while octets := os.read(self._screen, 65536):
                self._seen += octets.decode("utf-8", "replace")


def shown(written: str) -> list[str]:
    """The lines that a terminal of any width shows after this."""
    lines, row, column = [""], 0, 0
    for piece in _PIECES.finditer(written):
        text, number = piece[0], int(piece[1]) if (piece[1] or "").isdecimal() else 0
        if text == "\n":
            row += 1
        elif text in "\r\b":
            column = 0 if text == "\r" else max(0, column - 1)
        elif piece[2] == "A":
            row = max(0, row - (number or 1))
        elif piece[2] == "K":
            lines[row] = lines[row][:column] if number == 0 else ""
        elif piece[2] == "J":
            lines[row:] = [lines[row][:column]]
        elif piece[2] is None:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
        lines += [""] * (row + 1 - len(lines))
    return lines
