"""The demo's two servers: a database, by the best means this machine has, and a process of simulated meters."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from headend.store.embedded import EmbeddedPostgres
from headend.tree import project_file
from profiles.errors import HeadEndError, StoreError

DATABASE_START_S: Final = 240
"""The first start fetches TimescaleDB from the Debian mirror."""
FLEET_START_S: Final = 120
NOT_TO_BE_HAD: Final = 69
"""The script's exit code where this machine cannot have TimescaleDB."""


@dataclass(frozen=True, slots=True)
class DemoDatabase:
    """Where the demo's database is, and how one stops it once it is kept."""

    dsn: str
    how_to_stop: str


@contextlib.contextmanager
def demo_database(dsn: str | None, keep: bool, say: Callable[[str], None]) -> Iterator[DemoDatabase]:
    """A server's `dsn` as it is; else a private TimescaleDB; else, where that can't be had, the embedded PostgreSQL.

    What was started is stopped and removed at the end, unless it is to be kept. Raises StoreError.
    """
    if dsn is not None:
        yield DemoDatabase(dsn, "")
        return
    folder = _reachable_folder()
    script = project_file("tests/services/timescaledb.sh")
    environment = os.environ | {"TSDB_DATA": str(folder / "timescaledb")}
    started = _start_timescaledb(script, environment)
    if isinstance(started, str):
        stop = f"TSDB_DATA={folder / 'timescaledb'} sh {script} stop; rm -rf {folder}"
        try:
            yield DemoDatabase(started, stop)
        finally:
            if not keep:
                _run_script(script, "stop", environment)
                shutil.rmtree(folder, ignore_errors=True)
        return
    say(f"TimescaleDB can't be had here ({started.reason}): the embedded PostgreSQL serves, with the same tables")
    server = EmbeddedPostgres(folder / "postgresql")
    try:
        stop = f"kill $(head -1 {folder / 'postgresql' / 'cluster' / 'postmaster.pid'}); rm -rf {folder}"
        yield DemoDatabase(server.start(), stop)
    finally:
        if not keep:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Unavailable:
    reason: str


def _start_timescaledb(script: Path, environment: dict[str, str]) -> str | _Unavailable:
    done = _run_script(script, "start", environment)
    if done.returncode == 0:
        return done.stdout.strip()
    said = (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("timescaledb.sh: ")
    if done.returncode == NOT_TO_BE_HAD:
        return _Unavailable(said)
    raise StoreError(f"TimescaleDB did not start: {said}", remedy="give a server of your own with --dsn")


def _run_script(script: Path, call: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["sh", str(script), call],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DATABASE_START_S,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess([], NOT_TO_BE_HAD, "", f"no end within {DATABASE_START_S} s")
    except OSError as error:
        return subprocess.CompletedProcess([], NOT_TO_BE_HAD, "", f"no shell to run it: {error.strerror}")


def _reachable_folder() -> Path:
    """A new folder for a server's data; the unprivileged account that the server runs as, for root, can enter it."""
    folder = Path(tempfile.mkdtemp(prefix="headend-demo-", dir="/tmp" if os.geteuid() == 0 else None))  # noqa: S108
    if os.geteuid() == 0:
        folder.chmod(0o711)
    return folder


@dataclass(slots=True)
class SimulatedFleet:
    """The simulator's process, what it wrote, and (after it ended) how many counters it saw twice."""

    meters: int
    registry: Path
    expect: Path
    repeated_counters: int | None = None


@contextlib.contextmanager
def simulated_fleet(folder: Path, meters: int, seed: int, start: datetime, end: datetime) -> Iterator[SimulatedFleet]:
    """Simulated meters in a process of their own, for as long as this lasts. Raises HeadEndError."""
    registry, expect = folder / "meters.csv", folder / "expect.csv"
    options = {
        "--meters": meters,
        "--port": 0,
        "--seed": seed,
        "--start": start.isoformat(),
        "--end": end.isoformat(),
        "--registry": registry,
        "--expect": expect,
        "--divisions": project_file("config/rollout.csv"),
    }
    arguments = [str(part) for option in options.items() for part in option]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "simulators", "--json", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        fleet = SimulatedFleet(meters, registry, expect)
        try:
            assert process.stdout is not None
            if _first_line(process.stdout, process) is None:
                process.wait(timeout=10)
                errors.seek(0)
                raise HeadEndError(f"the simulator did not start: {errors.read().strip() or 'it said nothing'}")
            yield fleet
        finally:
            process.terminate()
            try:
                rest, _ = process.communicate(timeout=30)
                fleet.repeated_counters = json.loads(rest)["repeated_counters"] if rest.strip() else None
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _first_line(stream: IO[str], process: subprocess.Popen[Any]) -> str | None:
    """The line that says the meters answer; None when the process ends without, or takes too long and is ended."""
    patience = threading.Timer(FLEET_START_S, process.kill)
    patience.start()
    try:
        return stream.readline() or None
    finally:
        patience.cancel()
