"""What the program takes to start, in CPU time, against a bare `python -c 'import typer, rich'` of the same minute.

`read` is measured up to its first octet: it is sent to a port where nobody listens. The least of several runs counts.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HEADEND = str(Path(sys.executable).with_name("headend"))
RUNS = 7
BARE = (sys.executable, "-c", "import typer, rich")
MOST = {"help": 4.0, "complete": 6.0, "read": 16.0}
"""Times a bare start, which takes 60 to 80 ms."""


def cpu_s(*command: str, **environment: str) -> float:
    """The least CPU time that a run took."""
    taken = []
    for _ in range(RUNS):
        before = os.times()
        subprocess.run(command, env=os.environ | environment, capture_output=True, timeout=120)
        after = os.times()
        taken.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(taken)


def test_a_start_takes_few_times_what_a_bare_start_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    keys = tmp_path / "meter.toml"
    names = ("encryption_key", "authentication_key")
    keys.write_text("".join(f'{name} = "{"0f" * 16}"\n' for name in names) + 'lls_secret = "12345678"\n')
    completing = {"_HEADEND_COMPLETE": "complete_bash", "COMP_WORDS": "headend read po", "COMP_CWORD": "2"}
    bare = cpu_s(*BARE)
    taken = {
        "help": cpu_s(HEADEND, "--help"),
        "complete": cpu_s(HEADEND, **completing),
        "read": cpu_s(HEADEND, "read", nobody, "clock", "--keys", str(keys), XDG_STATE_HOME=str(tmp_path)),
    }
    with capsys.disabled():
        print(f"\nbare {bare * 1000:.0f} ms", end="")
        for name, seconds in taken.items():
            print(f", {name} {seconds * 1000:.0f} ms ({seconds / bare:.1f} times)", end="")
        print()
    for name, seconds in taken.items():
        assert seconds < MOST[name] * bare, name
