"""The daemon when something is wrong around it: the database goes, a meter was swapped, nothing is set up yet."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from terminal import Meters, Terminal, wait_until

SERVICE = Path(__file__).parents[1] / "services" / "timescaledb.sh"


class Server:
    """A TimescaleDB of this test alone, to be stopped and started; it keeps its port."""

    def __init__(self, folder: Path) -> None:
        self._environment = os.environ | {"TSDB_DATA": str(folder), "TSDB_SHARED_BUFFERS": "32MB"}
        self.dsn = self.call("start")

    def call(self, what: str) -> str:
        done = subprocess.run(
            [SERVICE, what], env=self._environment, capture_output=True, text=True, timeout=100, check=True
        )
        return done.stdout.strip()


@pytest.fixture
def server(service_folder: Path) -> Iterator[Server]:
    server = Server(service_folder)
    yield server
    server.call("stop")


@pytest.fixture
def environment(terminal: Terminal) -> dict[str, str]:
    """What every command is told: a key-encryption key, short cycles, logs to be read by a program."""
    terminal.run("vault", "init", "kek")
    return {
        "HEADEND_VAULT__KEK_FILE": "kek",
        "HEADEND_COLLECTION__TICK_S": "1",
        "HEADEND_LOG__FORMAT": "json",
    }


def stored(dsn: str) -> tuple[int, int]:
    """Intervals, and how many different ones."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*), count(DISTINCT (meter_id, ts)) FROM interval_reading").fetchone()
    assert row is not None
    return row[0], row[1]


def test_the_daemon_waits_for_a_database_that_is_away_and_outlives_its_restarts(
    terminal: Terminal, environment: dict[str, str], server: Server
) -> None:
    environment["HEADEND_DATABASE__DSN"] = server.dsn
    meters = terminal.meters(20, days=10)
    terminal.run("meters", "import", meters.registry, **environment)
    server.call("stop")

    told = terminal.refusal("collect", "--once", exit_code=10, **environment)
    assert "see that the server runs" in told
    daemon = terminal.start("run", HEADEND_COLLECTION__NEW_SESSIONS_PER_S="3", **environment)
    daemon.says("database_away")
    assert daemon.process.poll() is None
    server.call("start")
    wait_until(lambda: stored(server.dsn)[0], "the first intervals")
    assert stored(server.dsn)[0] < meters.expected
    server.call("stop")
    server.call("start")
    wait_until(lambda: stored(server.dsn)[0] >= meters.expected, "every interval")
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.err
    rows, different = stored(server.dsn)
    assert rows == different
    meters.stop()


def test_without_a_database_server_the_embedded_one_serves_every_command_and_is_stopped_after_each(
    terminal: Terminal, environment: dict[str, str], service_folder: Path
) -> None:
    config = terminal.folder / "etc" / "headend.toml"
    config.parent.mkdir()
    (terminal.folder / "kek").rename(config.parent / "kek")
    config.write_text(f'[vault]\nkek_file = "kek"\n[database]\nfolder = "{service_folder}"\n')
    where = {"HEADEND_CONFIG": str(config)}
    assert "native partitions" in terminal.run("db", "migrate", **where).stdout
    assert "no meter is registered" in terminal.run("status", **where).stdout
    meters = terminal.meters(3)
    terminal.run("meters", "import", meters.registry, **where)
    assert "3 of 3 meters" in terminal.run("collect", "--once", **where).stdout
    (division,) = json.loads(terminal.run("status", "--json", **where).stdout)["divisions"]
    assert division["stored"] >= division["due"] - 3 > 0
    assert not (service_folder / "cluster" / "postmaster.pid").exists()
    meters.stop()


def swapped(meters: Meters) -> Path:
    """The meter list with another system title for the first meter than its own."""
    lists = meters.registry.with_name("swapped.csv")
    lists.write_text(meters.registry.read_text().replace(meters.rows[0]["system_title"], "0102030405060708"))
    return lists


def test_another_meter_at_an_address_is_parked_until_someone_has_looked(
    terminal: Terminal, environment: dict[str, str], timescale_dsn: str
) -> None:
    environment["HEADEND_DATABASE__DSN"] = timescale_dsn
    meters = terminal.meters(3)
    terminal.run("meters", "import", swapped(meters), **environment)
    terminal.run("collect", "--once", exit_code=1, **environment)
    name = meters.rows[0]["name"]
    (parked,) = json.loads(terminal.run("meters", "list", "--parked", "--json", **environment).stdout)
    assert parked["name"] == name
    assert f"system title {meters.rows[0]['system_title']} answers" in parked["parked_reason"]
    assert f"parked: {name}" in terminal.run("status", **environment).stdout
    assert stored(timescale_dsn)[0] >= 2 * 96
    with psycopg.connect(timescale_dsn) as connection:
        of_it = "SELECT count(*) FROM interval_reading WHERE meter_id = %s"
        assert connection.execute(of_it, (parked["id"],)).fetchone() == (0,)

    terminal.run("collect", "--once", **environment)  # a parked meter is left alone, and fails no cycle
    terminal.run("meters", "import", meters.registry, **environment)
    terminal.run("meters", "unpark", name, **environment)
    terminal.run("collect", "--once", **environment)
    assert terminal.run("meters", "list", "--parked", **environment).stdout == "no meter is parked\n"
    assert stored(timescale_dsn)[0] >= meters.expected
    meters.stop()


def test_what_is_not_set_up_yet_is_said_with_the_command_that_does_it(
    terminal: Terminal, empty_timescale_dsn: str
) -> None:
    dsn = ("--dsn", empty_timescale_dsn)
    assert "headend vault init" in terminal.refusal("collect", "--once", *dsn, exit_code=3)
    assert "headend db migrate" in terminal.refusal("status", *dsn, exit_code=10)
    assert "headend db migrate" in terminal.refusal("meters", "list", *dsn, exit_code=10)
    terminal.run("db", "migrate", *dsn)
    assert "headend meters import" in terminal.run("status", *dsn).stdout
    assert "headend meters import" in terminal.run("meters", "list", *dsn).stdout
    assert "there is no meter 'm1'" in terminal.refusal("meters", "unpark", "m1", *dsn, exit_code=3)
    terminal.run("vault", "init", "kek")
    assert "is there already" in terminal.refusal("vault", "init", "kek", exit_code=3)


def test_who_only_looks_makes_no_database(terminal: Terminal) -> None:
    folder = terminal.folder / "database"
    for command in (["status"], ["meters", "list"], ["meters", "unpark", "m1"]):
        told = terminal.refusal(*command, exit_code=3, HEADEND_DATABASE__FOLDER=str(folder))
        assert f"there is no embedded one in {folder}" in told
        assert "HEADEND_DATABASE__DSN" in told
    assert not folder.exists()
