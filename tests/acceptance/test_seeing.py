"""What a running daemon shows: metrics, health, systemd, reload, status; and that it ends in time."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bad_link import BadLink
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from terminal import LIMIT_S, Program, Terminal, free_port, heed_ctrl_c, wait_until
from test_daemon import Operator

METERS = 6


@pytest.fixture
def operator(terminal: Terminal, empty_timescale_dsn: str) -> Operator:
    return Operator(terminal, empty_timescale_dsn)


class Manager:
    """The service manager's end of the notification socket; it reads all the time, or senders find it full."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def heard(self, word: str) -> bool:
        """Whether it was told so, by now."""
        return word in self.said

    def close(self) -> None:
        self._socket.sendto(b"END", str(self.path))
        self._reader.join()
        self._socket.close()

    def _read(self) -> None:
        while (heard := self._socket.recv(4096)) != b"END":
            self.said += heard.decode().splitlines()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def page(daemon: Program, path: str) -> tuple[int, str]:
    """Status and body of what a daemon serves."""
    daemon.says('"event": "seeing"')
    port = daemon.events("seeing")[0]["port"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics(daemon: Program) -> dict[str, float]:
    """By name and labels, as they are written."""
    lines = [line for line in page(daemon, "/metrics")[1].splitlines() if not line.startswith("#")]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


def status(operator: Operator) -> dict[str, Any]:
    """What `headend status` tells of now and the last days."""
    told: dict[str, Any] = json.loads(operator.run("status", "--json"))
    return told


def watched(operator: Operator) -> str:
    """What `headend status --watch` shows on a terminal until Ctrl-C."""
    terminal, end = pty.openpty()
    os.set_blocking(terminal, False)
    environment = operator.terminal.environment | operator.environment | {"COLUMNS": "200", "TERM": "xterm"}
    command = [str(operator.terminal.headend), "status", "--watch"]
    program = subprocess.Popen(command, env=environment, stdin=end, stdout=end, stderr=end, preexec_fn=heed_ctrl_c)
    shown = ""

    def refreshed() -> bool:
        nonlocal shown
        with suppress(BlockingIOError):
            shown += os.read(terminal, 65536).decode(errors="replace")
        return shown.count("Nodes") >= 2

    try:
        wait_until(refreshed, "two screens")
        program.send_signal(signal.SIGINT)
        assert program.wait(LIMIT_S) == 130
    finally:
        program.kill()
        program.wait()
        os.close(terminal)
        os.close(end)
    return shown


def cut_off(connection: socket.socket) -> bool:
    """Whether the other side ends it, one way or the other, without a word."""
    with connection:
        try:
            return connection.recv(1) == b""
        except ConnectionResetError:
            return True


@contextmanager
def silent_meter() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_metrics_health_and_status_show_what_a_daemon_does(operator: Operator, manager: Manager) -> None:
    meters = operator.terminal.meters(METERS)
    dead = meters.rows[2]
    meters.registry.write_text(meters.registry.read_text().replace(dead["address"], "tcp://127.0.0.1:9"))
    operator.run("meters", "import", meters.registry)
    told = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "900000"}
    daemon = operator.daemon(HEADEND_SEEING__PORT="0", **told)
    wait_until(lambda: manager.heard("READY=1") and manager.said.count("WATCHDOG=1") > 2, "READY=1 and pings")
    expected = meters.expected - 96
    wait_until(lambda: metrics(daemon).get("headend_intervals_stored_total", 0) >= expected, "every interval counted")
    visited = 'headend_sessions_total{outcome="'
    wait_until(lambda: sum(name.startswith(visited) for name in metrics(daemon)) == 2, "the dead meter counted")
    seen = metrics(daemon)
    outcomes = {name.removeprefix(visited).rstrip('"}') for name in seen if name.startswith(visited)}
    assert outcomes == {"answered", "LinkError"}
    assert seen[f'{visited}answered"}}'] >= METERS - 1
    assert seen["headend_database_away"] == seen["headend_spool_full"] == 0
    assert seen["headend_batches_stored_total"] >= 1
    assert seen["headend_dispatcher_age_seconds"] < 30
    assert not any(meter["name"] in name for name in seen for meter in meters.rows)
    assert page(daemon, "/health") == (200, '{"ok": true, "reasons": []}\n')
    assert wait_until(lambda: page(daemon, "/ready")[0] == 200, "readiness")
    assert page(daemon, "/else")[0] == 404
    operator.run("collect", meters.rows[0]["name"])
    with psycopg.connect(operator.dsn, autocommit=True) as connection:
        told_all = "SELECT count(*) FROM node WHERE (numbers ->> 'intervals')::int >= %s"
        wait_until(lambda: connection.execute(told_all, (expected,)).fetchone() == (1,), "the numbers in the database")
    shown = status(operator)
    assert [node["gone"] for node in shown["nodes"]] == [False]
    assert shown["owed"] >= 90
    assert sum(day["due"] - day["stored"] for day in shown["days"]) == shown["owed"]
    assert 0 < shown["days"][0]["on_demand_p50_s"] < 60
    assert sum(day["on_demand"] for day in shown["days"]) == 1
    assert shown["nodes"][0]["name"] in operator.run("status")
    assert daemon.stop() == 0
    wait_until(lambda: manager.heard("STOPPING=1"), "STOPPING=1", 5)
    with psycopg.connect(operator.dsn) as connection:
        assert connection.execute("SELECT name FROM node").fetchall() == []
    meters.stop()


def test_status_shows_segments_down_silent_meters_and_a_node_that_is_gone(operator: Operator) -> None:
    meters = operator.terminal.meters(METERS)
    operator.run("meters", "import", meters.registry)
    operator.run("collect", "--once")
    meters.stop()
    with psycopg.connect(operator.dsn) as connection:
        connection.execute("DELETE FROM schedule")
    daemon = operator.daemon(HEADEND_SEEING__PORT="0", HEADEND_SEEING__SILENT_AFTER_H="0.0001")
    wait_until(lambda: metrics(daemon).get("headend_segments_down") == 1, "the segment down")
    assert metrics(daemon)["headend_meters_silent"] == METERS
    shown = status(operator)
    assert (len(shown["segments_down"]), shown["meters_silent"]) == (1, METERS)
    assert shown["segments_down"][0]["since"] <= shown["segments_down"][0]["try_again_at"]
    assert "refused" in shown["segments_down"][0]["reason"]
    daemon.process.kill()
    daemon.process.wait()
    with psycopg.connect(operator.dsn) as connection:
        connection.execute("UPDATE node SET seen_at = seen_at - INTERVAL '31 seconds'")
    assert [node["gone"] for node in status(operator)["nodes"]] == [True]
    screen = watched(operator)
    assert "gone: not seen for" in screen
    assert "Segments down" in screen


def test_pings_end_while_the_loop_hangs_and_come_back(operator: Operator, manager: Manager) -> None:
    told = {"NOTIFY_SOCKET": f"{manager.path}", "WATCHDOG_USEC": "600000"}
    daemon = operator.daemon(**told)
    wait_until(lambda: manager.heard("WATCHDOG=1"), "a ping")
    os.kill(daemon.process.pid, signal.SIGSTOP)
    time.sleep(0.3)
    manager.said.clear()
    time.sleep(1.0)
    assert not manager.heard("WATCHDOG=1")
    os.kill(daemon.process.pid, signal.SIGCONT)
    wait_until(lambda: manager.heard("WATCHDOG=1"), "pings again")
    assert daemon.stop() == 0


def test_slow_and_many_readers_of_metrics_are_cut_off(operator: Operator) -> None:
    daemon = operator.daemon(HEADEND_SEEING__PORT="0")
    assert page(daemon, "/health")[0] == 200
    port = int(str(daemon.events("seeing")[0]["port"]))
    slow = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(40)]
    for each in slow:
        each.send(b"GET /met")
    began = time.monotonic()
    assert [cut_off(each) for each in slow] == [True] * 40
    assert time.monotonic() - began < 9
    assert page(daemon, "/health")[0] == 200
    assert daemon.stop() == 0


def test_sighup_takes_over_what_it_can_names_what_waits_and_changes_nothing_when_the_file_is_wrong(
    operator: Operator, manager: Manager
) -> None:
    port, config = free_port(), operator.terminal.folder / "headend.toml"
    listen = f'[push]\nlisten = ["tcp://127.0.0.1:{port}"]\n'
    config.write_text(f"[schedules]\nblock_load_s = 3600\n{listen}")
    daemon = operator.daemon(HEADEND_CONFIG=str(config), NOTIFY_SOCKET=str(manager.path))
    daemon.says('"event": "listening"')
    with socket.create_connection(("127.0.0.1", port), 1.5) as idle, pytest.raises(TimeoutError):
        idle.recv(1)
    manager.said.clear()
    config.write_text(
        f"[collection]\nmax_open_sessions = 7\nsegments_at_once = 3\n[schedules]\nblock_load_s = 900\n"
        f'{listen}idle_s = 1\nmax_waiting = 500\n[log]\nlevel = "debug"\n[spool]\nmax_mb = 99\n'
    )
    daemon.process.send_signal(signal.SIGHUP)
    daemon.says("settings_reloaded")
    done = daemon.events("settings_reloaded")[0]
    assert done["changed"] == ["collection.max_open_sessions", "schedules.block_load_s", "push.idle_s", "log.level"]
    assert done["at_next_start"] == ["collection.segments_at_once", "push.max_waiting", "spool.max_mb"]
    wait_until(lambda: manager.heard("RELOADING=1") and manager.heard("READY=1"), "RELOADING=1, then READY=1")
    assert cut_off(socket.create_connection(("127.0.0.1", port), LIMIT_S)), "idle for a second"
    config.write_text("[schedules]\nblock_load_s = -1\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.says("settings_kept")
    assert "schedules.block_load_s" in str(daemon.events("settings_kept")[0]["reason"])
    assert daemon.stop() == 0


def test_parts_that_hang_are_named_and_a_stop_takes_at_most_30_seconds_whatever_hangs(
    operator: Operator, manager: Manager
) -> None:
    """At once: a meter that says nothing, a database that does not answer any more though its connections stand, a
    broker that nobody runs, and a spool that another process holds."""
    operator.run("db", "migrate")
    meters = operator.terminal.meters(2)
    place = conninfo_to_dict(operator.dsn)
    told = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "900000", "HEADEND_SEEING__HANGS_AFTER_S": "2"}
    told |= {"HEADEND_PUSH__MQTT_HOST": "127.0.0.1", "HEADEND_PUSH__MQTT_PORT": "9", "HEADEND_SEEING__PORT": "0"}
    with BadLink(f"tcp://{place['host']}:{place['port']}") as link, silent_meter() as address:
        meters.registry.write_text(meters.registry.read_text().replace(meters.address(), f"{address}?timeout=200"))
        operator.run("meters", "import", meters.registry)
        through = {"host": "127.0.0.1", "port": link.address.rpartition(":")[2]}
        daemon = operator.daemon(HEADEND_DATABASE__DSN=make_conninfo(operator.dsn, **through), **told)
        wait_until(lambda: metrics(daemon).get("headend_open_sessions") == 1, "an open session")
        assert page(daemon, "/health")[0] == 200
        assert page(daemon, "/ready") == (503, '{"ok": false, "reasons": ["the broker is away"]}\n')
        assert manager.heard("WATCHDOG=1")
        link.silent.set()
        hanging = {"dispatcher hangs", "outages hangs"}
        wait_until(lambda: hanging <= set(json.loads(page(daemon, "/health")[1])["reasons"]), "the parts that hang")
        status, reasons = page(daemon, "/ready")
        assert (status, hanging <= set(json.loads(reasons)["reasons"])) == (503, True)
        wait_until(
            lambda: any(said.startswith("STATUS=hangs: dispatcher, outages") for said in manager.said), "STATUS="
        )
        manager.said.clear()
        time.sleep(1)
        assert not manager.heard("WATCHDOG=1")
        with closing(sqlite3.connect(operator.terminal.folder / "spool" / "spool.db", isolation_level=None)) as spool:
            spool.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < 30
        assert daemon.events("daemon_cut")
        assert "Traceback" not in daemon.err
    meters.stop()
