"""The program as a person runs it: the installed console script in processes of its own, with a limit to every wait.

A `Terminal` is a folder and an environment with nothing of ours in it; what was started in it is ended with it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

HEADEND = Path(sys.executable).with_name("headend")
LIMIT_S = 900.0 if os.environ.get("FULL_CAMPAIGNS") == "1" else 90.0
"""For a program to answer or to end; generous, since the machine may be busy, and campaigns in full have much to do."""
QUARTER = timedelta(minutes=15)

T = TypeVar("T")


def wait_until(happened: Callable[[], T], what: str, seconds: float = LIMIT_S) -> T:
    """Ask until the answer is true or not None; returns it. Fails the test when it takes too long."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s for {what}", pytrace=False)
        time.sleep(0.02)
    return found


def last_quarter() -> datetime:
    """The end of the last 15-minute interval that has ended."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return now - timedelta(minutes=now.minute % 15)


def free_port() -> int:
    """A TCP port that nobody has at this moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def heed_ctrl_c() -> None:
    """A program started by a shell in the background ignores SIGINT; ours are started as at a terminal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Program:
    """A program that goes on until it is told to end; its output is in files."""

    def __init__(self, process: subprocess.Popen[str], out: Path, err: Path) -> None:
        self.process = process
        self._out = out
        self._err = err

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def says(self, pattern: str, *, of: str = "err") -> re.Match[str]:
        """Wait for its output to match."""

        def found() -> re.Match[str] | None:
            match = re.search(pattern, getattr(self, of))
            if match is None and self.process.poll() is not None:
                pytest.fail(f"it ended with {self.process.returncode}: {self.out}{self.err}", pytrace=False)
            return match

        return wait_until(found, f"{pattern!r} in {of}: {getattr(self, of)[-2000:]!r}")

    def events(self, name: str) -> list[dict[str, object]]:
        """The log lines with this event."""
        lines = [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)


@dataclass
class Meters:
    """A fleet that `headend simulate` serves."""

    program: Program
    port: int
    registry: Path
    expect: Path
    start: datetime
    end: datetime
    """What `expect` holds: intervals that start in [start, end)."""

    @property
    def rows(self) -> list[dict[str, str]]:
        """Its meter list."""
        with self.registry.open() as lines:
            return list(csv.DictReader(lines))

    @property
    def expected(self) -> int:
        """Intervals in `expect`."""
        return len(self.expect.read_text().splitlines()) - 1

    def address(self, index: int = 0) -> str:
        return self.rows[index]["address"]

    def stop(self) -> None:
        """End it; fails the test if any invocation counter came twice."""
        code = self.program.stop()
        assert (code, self.program.err) == (0, ""), self.program.err
        assert json.loads(self.program.out.splitlines()[-1]) == {"repeated_counters": 0}


class Terminal:
    """A folder to work in, and an environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.headend = HEADEND
        ours = ("HEADEND_", "PG", "TSDB_", "XDG_STATE", "FORCE_COLOR", "GITHUB_", "PY_COLORS")
        self.environment = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        self.environment["XDG_STATE_HOME"] = str(folder / "state")
        self.environment["HEADEND_SPOOL__FOLDER"] = str(folder / "spool")
        self.environment["HEADEND_SPOOL__MIN_FREE_MB"] = "0"
        self.programs: list[Program] = []

    def run(
        self, *arguments: str | Path, exit_code: int = 0, given: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """`headend` with these arguments; any other exit code fails the test."""
        done = subprocess.run(
            [self.headend, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        if done.returncode != exit_code:
            pytest.fail(f"headend {arguments} ended with {done.returncode}: {done.stdout}{done.stderr}", pytrace=False)
        return done

    def refusal(self, *arguments: str | Path, exit_code: int, **environment: str) -> str:
        """What it says, on one line of stderr and with nothing on stdout, when it ends with this code."""
        done = self.run(*arguments, exit_code=exit_code, **environment)
        assert done.stdout == ""
        assert done.stderr.startswith("headend: ")
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr.removeprefix("headend: ").rstrip()

    def start(self, *arguments: str | Path, **environment: str) -> Program:
        """`headend` with these arguments, to go on until it is stopped. In a session of its own."""
        number = len(self.programs)
        out, err = self.folder / f"{number}.out", self.folder / f"{number}.err"
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                [self.headend, *arguments],
                cwd=self.folder,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                text=True,
                start_new_session=True,
                preexec_fn=heed_ctrl_c,
            )
        self.programs.append(Program(process, out, err))
        return self.programs[-1]

    def meters(self, count: int, *options: str, days: float = 1, seed: int = 1) -> Meters:
        """Meters that answer, commissioned so many days ago."""
        number, end = len(self.programs), last_quarter()
        start = end - timedelta(days=days)
        registry, expect = self.folder / f"meters-{number}.csv", self.folder / f"expect-{number}.csv"
        files = ("--registry", registry, "--expect", expect)
        times = ("--start", start.isoformat(), "--end", end.isoformat())
        program = self.start(
            "simulate", "--json", "--meters", str(count), "--seed", str(seed), "--port", "0", *files, *times, *options
        )
        ready = json.loads(program.says(r'\{"meters".*\}', of="out")[0])
        return Meters(program, ready["port"], registry, expect, start, end)

    def close(self) -> None:
        """End what still runs."""
        for program in self.programs:
            if program.process.poll() is None:
                program.process.terminate()
            try:
                program.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                program.process.kill()
                program.process.wait()
