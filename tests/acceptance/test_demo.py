"""`headend demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from terminal import Program, Terminal, wait_until

from headend.demo.compare import DifferenceError, compare
from headend.store.database import connect

METERS = 20
INTERVALS = METERS * 192


def checked(printed: str, meters: int = METERS) -> dict[str, object]:
    """The JSON that the demo prints, with everything in it equal."""
    said = json.loads(printed)
    assert said["meters"] == meters
    assert said["intervals_expected"] == said["intervals_stored"] == said["intervals_equal"] == meters * 192
    assert said["repeated_counters"] == 0
    assert said["seconds"] > 0
    found: dict[str, object] = said
    return found


def test_the_demo_stores_every_interval_and_says_where(terminal: Terminal) -> None:
    done = terminal.run("demo", "--json", "--meters", str(METERS), "--keep")
    said = checked(done.stdout)
    assert said["database"] == "apache"
    stop = re.search(r"TSDB_DATA=\S+ sh \S+ stop; rm -rf \S+", done.stderr)
    assert stop is not None
    with psycopg.connect(str(said["dsn"])) as connection:
        tables = connection.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
        assert ("interval_reading",) in tables
        row = connection.execute(
            "SELECT count(*), count(DISTINCT (meter_id, ts)), count(*) FILTER (WHERE voltage BETWEEN 150000 AND 280000)"
            " FROM interval_reading"
        ).fetchone()
        assert row == (INTERVALS, INTERVALS, INTERVALS)
        keys = connection.execute("SELECT count(*) FROM meter_key").fetchone()
        assert keys == (METERS * 4,)
    subprocess.run(["sh", "-c", stop[0]], check=True, timeout=60)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(str(said["dsn"]), connect_timeout=5)


def test_the_demo_of_200_meters_shows_completeness_a_curve_and_how_to_look_further(terminal: Terminal) -> None:
    shown = terminal.run("demo").stdout
    assert re.search(r"Bhopal city +28 +5,376 +5,376 +100\.00 %", shown)
    assert re.search(r"all +200 +38,400 +38,400 +100\.00 %", shown)
    assert "38,400 of 38,400 intervals stand in a TimescaleDB hypertable" in shown
    assert re.search(r"[\d,]+ intervals a second", shown)
    assert "SELECT * FROM load_profile" in shown
    assert sum(0x2800 < ord(sign) < 0x2900 for sign in shown) > 100, "a curve in braille dots"
    assert "\x1b[" not in shown, "no colour in a pipe"


def test_a_database_of_ones_own_serves_and_is_refused_once_it_is_in_use(terminal: Terminal, empty_dsn: str) -> None:
    said = checked(terminal.run("demo", "--json", "--meters", "5", "--dsn", empty_dsn).stdout, 5)
    assert said["dsn"] == empty_dsn
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM interval_reading").fetchone() == (960,)
    again = terminal.run("demo", "--json", "--meters", "5", "--dsn", empty_dsn, exit_code=10)
    assert again.stdout == ""
    assert "headend: meters are registered in this database" in again.stderr


def test_where_timescaledb_cannot_be_had_the_embedded_database_serves_and_it_is_said(terminal: Terminal) -> None:
    in_the_way = terminal.folder / "file"
    in_the_way.touch()
    done = terminal.run("demo", "--json", "--meters", "5", TSDB_ROOT=str(in_the_way / "x"))
    assert checked(done.stdout, 5)["database"] == "postgresql"
    assert "TimescaleDB can't be had here" in done.stderr


@pytest.mark.parametrize("root", ["", "in the way"])
def test_ctrl_c_leaves_no_server_and_no_folder_behind(terminal: Terminal, root: str) -> None:
    environment = {"TSDB_ROOT": str(Path(__file__) / "x")} if root else {}
    program = terminal.start("demo", "--meters", "2000", **environment)
    said = program.says(r"the database is (\S+)")
    port = re.search(r"127\.0\.0\.1:(\d+)", said[0])
    folder = re.search(r"passfile=(/\S*headend-demo-[^/]+)", said[0])
    assert port is not None
    assert folder is not None
    assert Path(folder[1]).is_dir()
    os.killpg(program.process.pid, signal.SIGINT)
    assert program.process.wait(90) == 130
    assert "Traceback" not in program.err
    wait_until(lambda: not _listening(int(port[1])), "the database to be gone")
    assert not Path(folder[1]).exists()
    assert not _of_group(program)


def _listening(port: int) -> bool:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)


def _of_group(program: Program) -> list[str]:
    found = subprocess.run(["ps", "-o", "args=", "-g", str(program.process.pid)], capture_output=True, text=True)
    return found.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "UPDATE interval_reading SET wh_import = wh_import + 1 WHERE ts = {}",
            r"wh_import: the meter said \d+, stored",
        ),
        ("UPDATE interval_reading SET voltage = NULL WHERE ts = {}", r"voltage: the meter said \d+, stored is nothing"),
        ("DELETE FROM interval_reading WHERE ts = {}", "it is not stored, though the meter said it"),
        ("UPDATE interval_reading SET ts = ts + interval '1 s' WHERE ts = {}", "it is not stored, though"),
    ],
)
async def test_the_first_difference_is_named(
    terminal: Terminal, empty_timescale_dsn: str, change: str, told: str
) -> None:
    until = datetime.now(UTC)
    meters = terminal.meters(1, days=0.25)
    kek = terminal.folder / "kek"
    terminal.run("vault", "init", kek)
    environment = {"HEADEND_DATABASE__DSN": empty_timescale_dsn, "HEADEND_VAULT__KEK_FILE": str(kek)}
    terminal.run("meters", "import", meters.registry, **environment)
    terminal.run("run", "--once", **environment)
    meters.stop()
    async with await connect(empty_timescale_dsn) as connection:
        found = await compare(connection, meters.expect, meters.start, until)
        assert found.expected == found.stored == found.equal == meters.expected == 24
        middle = meters.start + timedelta(hours=3)
        await connection.execute(change.format("%s").encode(), (middle,))
        with pytest.raises(DifferenceError, match=told) as caught:
            await compare(connection, meters.expect, meters.start, until)
        assert caught.value.exit_code == 11


def test_help_starts_at_once_and_every_command_teaches_by_an_example(terminal: Terminal) -> None:
    before = os.times()
    began = time.monotonic()
    shown = terminal.run("--help").stdout
    spent = os.times()
    assert spent.children_user + spent.children_system - before.children_user - before.children_system < 1.0
    assert time.monotonic() - began < 30
    for command in ("demo", "run", "read", "simulate", "status", "meters", "db", "vault"):
        assert re.search(rf"^│ {command} ", shown, re.MULTILINE)
    for command in (["demo"], ["run"], ["read"], ["simulate"], ["status"], ["meters", "import"], ["meters", "list"]):
        assert "Example: " in terminal.run(*command, "--help").stdout
