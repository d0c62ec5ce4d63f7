"""`headend demo`, as a newcomer runs it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from terminal import LIMIT_S, QUARTER, Meters, Program, Terminal, wait_until

from headend.demo.compare import DifferenceError, compare
from headend.store.database import connect
from headend.tree import project_file

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
        first, last = connection.execute("SELECT min(ts), max(ts) FROM interval_reading").fetchone() or ("", "")
    # The same fleet once more, in a program that knows nothing of the demo: it must have said the same.
    times = ("--start", first.isoformat(), "--end", (last + QUARTER).isoformat())
    again = terminal.meters(METERS, *times, "--divisions", str(project_file("config/rollout.csv")))
    assert asyncio.run(_equal(str(said["dsn"]), again.expect, first, last + QUARTER)) == INTERVALS
    again.stop()
    assert said["stop"] == stop[0]
    subprocess.run(["sh", "-c", stop[0]], check=True, timeout=60)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(str(said["dsn"]), connect_timeout=5)


async def _equal(dsn: str, expect: Path, start: datetime, until: datetime) -> int:
    async with await connect(dsn) as connection:
        return (await compare(connection, expect, start, until)).equal


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
    program = terminal.start("demo", "--meters", "2000", TMPDIR=str(terminal.folder), **environment)
    said = program.says(r"the database is (\S+)")
    folder = re.search(r"passfile=(/\S*headend-demo-[^/]+)", said[0])
    assert folder is not None
    assert Path(folder[1]).is_dir()
    assert len(_processes(terminal)) >= 3, "the demo, its meters, its database"
    _interrupt(program)
    assert not Path(folder[1]).exists()
    wait_until(lambda: not _processes(terminal), "everything that the demo started to be gone")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(said[1], connect_timeout=5)
    assert not list(terminal.folder.glob("headend-demo-*"))


@pytest.mark.parametrize("moment", [0.0, 0.3, 0.7])
def test_ctrl_c_while_the_database_starts_leaves_nothing_behind_either(terminal: Terminal, moment: float) -> None:
    program = terminal.start("demo", TMPDIR=str(terminal.folder))
    program.says("starting a private TimescaleDB")
    (data,) = wait_until(lambda: {each["TSDB_DATA"] for each in _processes(terminal) if "TSDB_DATA" in each}, "a start")
    time.sleep(moment)
    _interrupt(program)
    wait_until(lambda: not _processes(terminal), "everything that the demo started to be gone")
    assert not Path(data).parent.exists()


def _interrupt(program: Program) -> None:
    """Ctrl-C at a terminal, by an impatient hand: all in the foreground get it, twice."""
    os.killpg(program.process.pid, signal.SIGINT)
    time.sleep(0.2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.process.pid, signal.SIGINT)
    assert program.process.wait(LIMIT_S) == 130
    assert "Traceback" not in program.err


def _processes(terminal: Terminal) -> list[dict[str, str]]:
    """The environments of all processes that come from this terminal: they know its folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            pairs = [pair.partition("=") for pair in file.read_bytes().decode(errors="replace").split("\0")]
            environment = {name: text for name, _, text in pairs}
            if environment.get("TMPDIR") == str(terminal.folder):
                found.append(environment)
    return found


SPOIL = """
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.wh_import := NEW.wh_import + 1000; RETURN NEW; END';
CREATE TRIGGER spoil BEFORE INSERT ON interval_reading FOR EACH ROW
    WHEN (NEW.meter_id = 2 AND extract(minute FROM NEW.ts) = 45) EXECUTE FUNCTION spoil();
"""


def test_one_wrong_value_ends_the_demo_with_11_and_is_named(terminal: Terminal, timescale_dsn: str) -> None:
    with psycopg.connect(timescale_dsn) as connection:
        connection.execute(SPOIL)
    done = terminal.run("demo", "--json", "--meters", "3", "--dsn", timescale_dsn, exit_code=11)
    assert done.stdout == ""
    told = done.stderr.splitlines()[-1]
    found = re.fullmatch(
        r"headend: meter NRB24000001, interval \S+:45:00Z: wh_import: the meter said (\d+), stored is (\d+) "
        r"\(after \d+ equal intervals\)",
        told,
    )
    assert found is not None, told
    assert int(found[2]) == int(found[1]) + 1000


DIFFERENCES = {
    "UPDATE interval_reading SET wh_import = wh_import + 1 WHERE ts = %s": r"wh_import: the meter said \d+, stored",
    "UPDATE interval_reading SET voltage = NULL WHERE ts = %s": r"voltage: the meter said \d+, stored is nothing",
    "DELETE FROM interval_reading WHERE ts = %s": "it is not stored, though the meter said it",
    "UPDATE interval_reading SET ts = ts + interval '1 s' WHERE ts = %s": "it is not stored, though the meter said it",
    "INSERT INTO interval_reading (meter_id, interval_s, ts, read_at, quality, source, voltage)"
    " SELECT meter_id, interval_s, ts + interval '1 s', read_at, quality, source, 1"
    " FROM interval_reading WHERE ts = %s": "it is stored, though the meter never said it",
}


def test_the_first_difference_is_named(terminal: Terminal, empty_timescale_dsn: str) -> None:
    meters = terminal.meters(1, days=0.25)
    terminal.run("vault", "init", "kek")
    environment = {"HEADEND_DATABASE__DSN": empty_timescale_dsn, "HEADEND_VAULT__KEK_FILE": "kek"}
    terminal.run("meters", "import", meters.registry, **environment)
    terminal.run("collect", "--once", **environment)
    meters.stop()
    asyncio.run(_differences(empty_timescale_dsn, meters))


async def _differences(dsn: str, meters: Meters) -> None:
    """Make each difference in turn, in the middle of what is stored, and undo it."""
    async with await connect(dsn) as connection:
        found = await compare(connection, meters.expect, meters.start, meters.end)
        assert found.expected == found.stored == found.equal == meters.expected == 24
        for change, told in DIFFERENCES.items():
            async with connection.transaction(force_rollback=True):
                await connection.execute(change.encode(), (meters.start + timedelta(hours=3),))
                with pytest.raises(DifferenceError, match=told) as caught:
                    await compare(connection, meters.expect, meters.start, meters.end)
            assert caught.value.exit_code == 11
            assert meters.rows[0]["serial"] in str(caught.value)


def test_help_starts_at_once_and_every_command_teaches_by_an_example(terminal: Terminal) -> None:
    before = os.times()
    began = time.monotonic()
    shown = terminal.run("--help").stdout
    spent = os.times()
    assert spent.children_user + spent.children_system - before.children_user - before.children_system < 1.0
    assert time.monotonic() - began < 30
    for command in ("demo", "run", "read", "simulate", "status", "meters", "db", "vault"):
        assert re.search(rf"^  {command} ", shown, re.MULTILINE)
    for command in (
        *(["demo"], ["run"], ["read"], ["simulate"], ["status"], ["db", "migrate"], ["vault", "init"]),
        *(["meters", "import"], ["meters", "list"], ["meters", "show"], ["meters", "set"], ["meters", "replace"]),
        *(["meters", "retire"], ["meters", "park"], ["meters", "unpark"]),
    ):
        assert f"Example: headend {' '.join(command)}" in terminal.run(*command, "--help").stdout.replace("`", "")
