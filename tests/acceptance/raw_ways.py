"""Ways into simulated meters by options alone, and the program at a pseudo-terminal: what tests of it share."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path
from typing import Any

from terminal import HEADEND, Meters, Terminal

SERIAL = ("data", "0.0.96.1.0.255", "value")
DEMAND_PERIOD, MESSAGE = ("data", "1.0.0.8.0.255", "value"), ("data", "0.0.96.13.0.255", "value")
SWITCH = ("disconnect-control", "0.0.96.3.10.255")
READER = ("--client", "32", "--mechanism", "lls", "--security", "both", "--counter-object", "0.0.43.1.2.255")
UTILITY = ("--client", "48", "--mechanism", "aes", "--security", "both", "--counter-object", "0.0.43.1.3.255")


def keys(meters: Meters) -> tuple[str, str]:
    """The option that names the fleet's keys."""
    return ("--keys", str(meters.registry))


def said(terminal: Terminal, *arguments: str | Path) -> Any:
    """What it prints as JSON."""
    return json.loads(terminal.run(*arguments, "--json").stdout)


def at_a_terminal(
    terminal: Terminal, *arguments: str, answers: list[tuple[bytes, str]], term: str = "dumb"
) -> tuple[int, bytes]:
    """Run it on a pseudo-terminal, and give each answer when its question stands there; exit code and screen."""
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(HEADEND, [str(HEADEND), *arguments], terminal.environment | {"TERM": term})
    shown, seen = b"", 0
    try:
        for question, answer in answers:
            while question not in shown[seen:]:
                shown += os.read(screen, 4096)
            seen = len(shown)
            os.write(screen, answer.encode() + b"\n")
        while more := os.read(screen, 4096):
            shown += more
    except OSError:
        pass  # the other end is gone: how a pseudo-terminal ends
    os.close(screen)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown
