"""`headend simulate --fleet`: a roll-out with its clock, pushes and faults, and the line that tells what it does."""

from __future__ import annotations

import contextlib
import csv
import os
import pty
import re
import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
from terminal import HEADEND, LIMIT_S, Terminal

from simulators.virtual_clock import VirtualClock

FLEET = """
seed = 4
commissioned_at = 2026-01-01T00:00:00+05:30

[divisions.Datia]
meters = 12

[archetypes.office]
meter_types = { is15959-1ph = 1, is15959-3ph = 1 }

[makers]
SMA = 1
NRB = 1

[push]
destination = "tcp://127.0.0.1:9"
every_minutes = { block_load = 30 }

[faults]
latency = { share = 0.5, median_ms = 5, longest_ms = 50 }
"""


def fleet(terminal: Terminal, old: str = "", new: str = "") -> Path:
    """The fleet file, with `old` replaced."""
    file = terminal.folder / "fleet.toml"
    file.write_text(FLEET.replace(old, new) if old else FLEET)
    return file


def test_a_fleet_file_is_served_read_and_written_down(terminal: Terminal) -> None:
    registry, expect = terminal.folder / "meters.csv", terminal.folder / "expect"
    files = ("--registry", registry, "--expect", expect)
    times = ("--at", "2026-01-04T00:00Z", "--speed", "60")
    program = terminal.start("simulate", "--fleet", fleet(terminal), "--port", "0", "--json", *files, *times)
    (found,) = program.says(r'"clock": "([^"]+)"', of="out").groups()
    assert VirtualClock.parse(found).speed == 60
    with registry.open() as lines:
        rows = list(csv.DictReader(lines))
    assert {row["meter_type"] for row in rows} == {"is15959-1ph", "is15959-3ph"}
    blocks = pq.read_table(expect / "block_load.parquet")
    assert set(blocks["serial"].to_pylist()) == {row["serial"] for row in rows}
    said = terminal.run("read", rows[0]["address"], "block-load", "--keys", registry, "--csv").stdout
    assert said.startswith("start,")
    assert program.stop() == 0
    assert "REPEATED" not in program.err


def test_on_a_terminal_a_line_tells_what_the_fleet_does(terminal: Terminal) -> None:
    file = fleet(terminal)
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(terminal.folder)
        os.execve(HEADEND, [str(HEADEND), "simulate", "--fleet", str(file), "--port", "0"], terminal.environment)
    shown, line = (
        b"",
        re.compile(rb"\d\d \w{3} [\d:]+ UTC \xc2\xb7 12 meters \xc2\xb7 0 sessions \xc2\xb7 0 requests/s"),
    )
    until = time.monotonic() + LIMIT_S
    while not line.search(shown) and time.monotonic() < until:
        shown += os.read(screen, 4096)
    os.kill(pid, signal.SIGINT)
    with contextlib.suppress(OSError):  # the other end of the terminal is gone
        while octets := os.read(screen, 4096):
            shown += octets
    assert os.waitpid(pid, 0)[1] == 0
    assert line.search(shown), shown
    assert shown.endswith(b"\r\x1b[2K"), "the line is gone in the end"


def test_what_is_wrong_with_a_fleet_is_said_in_one_line(terminal: Terminal) -> None:
    file = fleet(terminal, "latency", "latncy")
    told = terminal.refusal("simulate", "--fleet", file, exit_code=3)
    assert told.startswith(f"{file}:20: faults.latncy: 'latncy' is no fault; there are never_answers, latency, ")
    file = fleet(terminal)
    assert "--seed and --fleet" in terminal.refusal("simulate", "--fleet", file, "--seed", "0", exit_code=3)
    assert "columns of 2 meter types" in terminal.refusal(
        "simulate", "--fleet", file, "--port", "0", "--expect", "expect.csv", exit_code=3
    )
    assert "times as fast as time" in terminal.refusal("simulate", "--speed", "0", exit_code=3)
    assert "is not a time" in terminal.refusal("simulate", "--at", "noon", exit_code=3)
    assert "[::1]:65536" in terminal.refusal(
        "simulate", "--meters", "2", "--port", "0", "--ipv6-port", "65535", exit_code=3
    )
