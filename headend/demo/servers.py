"""The demo's two servers: a database, by the best means this machine has, and a process of simulated meters."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from headend.store.embedded import EmbeddedPostgres
from headend.tree import project_file
from profiles.errors import HeadEndError, StoreError

DATABASE_START_S: Final = 240
"""The first start fetches TimescaleDB from the Debian mirror."""
SERVER_APPEARS_S: Final = 0.5
"""A server that was being started has written its pid file by then."""
FLEET_START_S: Final = 120
NOT_TO_BE_HAD: Final = 69
"""The script's exit code where this machine cannot have TimescaleDB."""


@dataclass(frozen=True, slots=True)
class DemoDatabase:
    """Where the demo's database is."""

    dsn: str = field(repr=False)
    shown: str
    """The DSN without its password."""
    look: str
    """The command that looks into it."""
    stop: str
    """The command that stops and removes it, once it is kept; empty where it is not the demo's own."""


@contextlib.contextmanager
def demo_database(dsn: str | None, keep: bool, say: Callable[[str], None]) -> Iterator[DemoDatabase]:
    """A server's `dsn` as it is; else a private TimescaleDB; else, where that can't be had, the embedded PostgreSQL.

    What was started is stopped and removed at the end, however that comes; `keep` leaves it up, also after an error,
    but not after an interrupt. Raises StoreError.
    """
    if dsn is not None:
        shown = _without_password(dsn)
        yield DemoDatabase(dsn, shown, f"psql {shlex.quote(shown)}", "")
        return
    with contextlib.ExitStack() as undo:
        folder = _reachable_folder()
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        database = _timescaledb(folder, undo, say) or _embedded(folder, undo)
        try:
            yield database
        except KeyboardInterrupt:
            keep = False
            raise
        finally:
            if keep:
                undo.pop_all()
                say(f"the database is kept: {database.shown}\nto stop and remove it: {database.stop}")


def _finish_undisturbed() -> None:
    """An impatient second Ctrl-C does not end the cleaning up, whose every step has a limit."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _timescaledb(folder: Path, undo: contextlib.ExitStack, say: Callable[[str], None]) -> DemoDatabase | None:
    """A private TimescaleDB in `folder`; None where this machine cannot have it, which is said. Raises StoreError."""
    script = project_file("tests/services/timescaledb.sh")
    data = folder / "timescaledb"
    environment = os.environ | {"TSDB_DATA": str(data)}
    say("starting a private TimescaleDB (the first time, it is fetched from the Debian mirror)")
    undo.callback(_run_script, script, "stop", environment)
    undo.callback(_finish_undisturbed)
    done = _run_script(script, "start", environment)
    said = [line.removeprefix("timescaledb.sh: ") for line in done.stderr.strip().splitlines()] or ["no reason given"]
    if done.returncode == NOT_TO_BE_HAD:
        say(f"TimescaleDB can't be had here ({said[-1]}): the embedded PostgreSQL serves, with the same tables")
        return None
    if done.returncode != 0:
        raise StoreError(f"TimescaleDB did not start: {said[-1]}", remedy="give a server of your own with --dsn")
    if done.stderr:
        say("\n".join(said))
    dsn, call = done.stdout.strip(), f"TSDB_DATA={shlex.quote(str(data))} sh {shlex.quote(str(script))}"
    return DemoDatabase(dsn, dsn, f"{call} psql", f"{call} stop; rm -rf {shlex.quote(str(folder))}")


def _embedded(folder: Path, undo: contextlib.ExitStack) -> DemoDatabase:
    """The embedded PostgreSQL in `folder`. Raises StoreError."""
    server = EmbeddedPostgres(folder / "postgresql")
    undo.callback(server.stop)
    undo.callback(_finish_undisturbed)
    dsn = server.start()
    process = shlex.quote(str(folder / "postgresql" / "cluster" / "postmaster.pid"))
    stop = f"pid=$(head -1 {process}); kill -INT $pid; tail --pid=$pid -f /dev/null; rm -rf {shlex.quote(str(folder))}"
    return DemoDatabase(dsn, dsn, f"psql {shlex.quote(dsn)}", stop)


def _run_script(script: Path, call: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the service script in a session of its own: Ctrl-C reaches it through us alone, who end it whole."""
    command = ["sh", str(script), call]
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, NOT_TO_BE_HAD, "", f"no shell to run it: {error.strerror}")
    try:
        said, errors = process.communicate(timeout=DATABASE_START_S)
    except subprocess.TimeoutExpired:
        _end_session(process)
        return subprocess.CompletedProcess(command, NOT_TO_BE_HAD, "", f"no end within {DATABASE_START_S} s")
    except BaseException:
        _finish_undisturbed()
        _end_session(process)
        raise
    return subprocess.CompletedProcess(command, process.returncode, said, errors)


def _end_session(process: subprocess.Popen[str]) -> None:
    """End the script and what it runs; a server that it has just begun is left a moment, to be found by `stop`."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with process:
        time.sleep(SERVER_APPEARS_S)


def _reachable_folder() -> Path:
    """A new folder for a server's data; the unprivileged account that the server runs as, for root, can enter it."""
    folder = Path(tempfile.mkdtemp(prefix="headend-demo-", dir="/tmp" if os.geteuid() == 0 else None))  # noqa: S108
    if os.geteuid() == 0:
        folder.chmod(0o711)
    return folder


def _without_password(dsn: str) -> str:
    parameters = conninfo_to_dict(dsn)
    if parameters.pop("password", None) is None:
        return dsn
    return make_conninfo("", **parameters)


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
            [sys.executable, "-m", "simulators", "--json", "--until-input-ends", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C reaches it through us, once nobody reads it any more
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
