"""The daemon and its company, as an operator runs them: import, collect, stop, be killed, look."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psycopg
import pytest
from terminal import Meters, Program, Terminal, wait_until

METERS = 30


class Operator:
    """A terminal with a database and a vault."""

    def __init__(self, terminal: Terminal, dsn: str) -> None:
        self.terminal = terminal
        self.dsn = dsn
        self.kek = terminal.folder / "kek"
        terminal.run("vault", "init", self.kek)
        self.environment = {
            "HEADEND_DATABASE__DSN": dsn,
            "HEADEND_VAULT__KEK_FILE": str(self.kek),
            "HEADEND_LOG__FORMAT": "json",
            "HEADEND_COLLECTION__TICK_S": "1",
        }

    def run(self, *arguments: str | Path, exit_code: int = 0) -> str:
        return self.terminal.run(*arguments, exit_code=exit_code, **self.environment).stdout

    def daemon(self, **environment: str) -> Program:
        return self.terminal.start("run", **self.environment | environment)

    def stored(self) -> int:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM interval_reading").fetchone()
            assert row is not None
            return int(row[0])

    def check(self, meters: Meters) -> None:
        """Every interval that the meters must have said stands in the database once, and no other before their end."""
        columns = meters.expect.read_text().splitlines()
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute(
                "SELECT m.serial, to_char(r.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), r.interval_s,"
                " r.voltage, r.current, r.wh_import, r.vah_import, r.wh_export, r.vah_export, r.meter_health,"
                " r.signal_strength FROM interval_reading r JOIN meter m ON m.id = r.meter_id WHERE r.ts < %s",
                (meters.end,),
            ).fetchall()
        found = sorted(",".join("" if value is None else str(value) for value in row) for row in rows)
        assert found == sorted(columns[1:])


@pytest.fixture
def operator(terminal: Terminal, empty_timescale_dsn: str) -> Operator:
    return Operator(terminal, empty_timescale_dsn)


def test_an_operator_imports_collects_and_looks(operator: Operator) -> None:
    assert "TimescaleDB" in operator.run("db", "migrate")
    meters = operator.terminal.meters(METERS)
    assert operator.run("meters", "import", meters.registry).startswith(f"{METERS} meters new")
    assert f"{METERS} as before; 0 keys stored" in operator.run("meters", "import", meters.registry)
    before = json.loads(operator.run("status", "--json"))["divisions"]
    assert sum(row["stored"] for row in before) == 0
    operator.run("collect", "--once")
    operator.check(meters)
    after = json.loads(operator.run("status", "--json"))["divisions"]
    assert sum(row["stored"] for row in after) >= sum(row["due"] for row in after) > 0
    assert "100.00 %" in operator.run("status")
    listed = json.loads(operator.run("meters", "list", "--json"))
    assert len(listed) == METERS
    assert all(row["last_contact"] and row["last_error"] is None for row in listed)
    assert "encryption" not in json.dumps(listed)
    assert meters.rows[0]["name"] in operator.run("meters", "list")
    meters.stop()


def test_sigterm_in_mid_collection_ends_with_0_and_keeps_what_was_read(operator: Operator) -> None:
    meters = operator.terminal.meters(METERS, days=20)
    operator.run("meters", "import", meters.registry)
    daemon = operator.daemon(HEADEND_COLLECTION__MAX_OPEN_SESSIONS="2")
    wait_until(operator.stored, "the first intervals")
    assert daemon.stop() == 0
    assert daemon.events("daemon_stopped")
    assert 0 < operator.stored() < meters.expected
    operator.run("collect", "--once")
    operator.check(meters)
    meters.stop()


def test_a_dead_meter_is_said_until_it_answers_and_does_not_stop_the_others(operator: Operator) -> None:
    meters = operator.terminal.meters(5)
    text = meters.registry.read_text()
    dead = meters.rows[2]
    meters.registry.write_text(text.replace(dead["address"], "tcp://127.0.0.1:9"))
    operator.run("meters", "import", meters.registry)
    done = operator.terminal.run("collect", "--once", exit_code=1, **operator.environment)
    failed = [json.loads(line) for line in done.stderr.splitlines() if '"meter_failed"' in line]
    assert [line["meter"] for line in failed] == [dead["name"]]
    assert "check host, port and firewall" in failed[0]["reason"]
    assert operator.stored() == meters.expected - 96
    troubles = json.loads(operator.run("status", "--json"))["troubles"]
    assert [trouble["meter"] for trouble in troubles] == [dead["name"]]
    meters.registry.write_text(text)
    operator.run("meters", "import", meters.registry)
    operator.run("collect", "--once")
    assert [meter["last_error"] for meter in json.loads(operator.run("meters", "list", "--json"))] == [None] * 5
    meters.stop()


def test_a_faulty_meter_list_changes_nothing_and_every_fault_has_its_line(operator: Operator) -> None:
    meters = operator.terminal.meters(4)
    lines = meters.registry.read_text().splitlines()
    key = meters.rows[1]["encryption_key"]
    lines[2] = lines[2].replace(key, key[:-1])
    lines[3] = lines[3].replace("tcp://", "ftp://")
    meters.registry.write_text("\n".join(lines))
    done = operator.terminal.run("meters", "import", meters.registry, exit_code=3, **operator.environment)
    assert "line 3, encryption_key" in done.stderr
    assert "line 4, address" in done.stderr
    assert key[:-1] not in done.stderr
    assert json.loads(operator.run("meters", "list", "--json")) == []
    meters.stop()


def test_settings_and_keys_that_are_wrong_are_named_in_one_line(operator: Operator) -> None:
    config = operator.terminal.folder / "headend.toml"
    for text, key in (("tick_s = -1", "collection.tick_s"), ("tikc_s = 1", "collection.tikc_s")):
        config.write_text(f"[collection]\n{text}\n")
        told = operator.terminal.refusal("run", "--config", config, exit_code=3)
        assert key in told
        assert str(config) in told
    os.chmod(operator.kek, 0o644)
    told = operator.terminal.refusal("collect", "--once", exit_code=3, **operator.environment)
    assert f"chmod 600 {operator.kek}" in told
    told = operator.terminal.refusal("db", "migrate", "--dsn", "postgresql://nobody@127.0.0.1:9/none", exit_code=10)
    assert "database" in told


def test_another_key_encryption_key_is_said_in_one_line_and_ends_the_daemon(operator: Operator) -> None:
    meters = operator.terminal.meters(2)
    operator.run("meters", "import", meters.registry)
    other = operator.terminal.folder / "other"
    operator.terminal.run("vault", "init", other)
    environment = operator.environment | {"HEADEND_VAULT__KEK_FILE": str(other)}
    for command in (["collect", "--once"], ["run"]):
        done = operator.terminal.run(*command, exit_code=3, **environment)
        assert "Traceback" not in done.stderr
        assert "give the right one in vault.kek_file" in done.stderr.splitlines()[-1]
    assert operator.stored() == 0
    meters.stop()
