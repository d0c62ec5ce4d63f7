"""`headend read`, as a field engineer runs it at one meter."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from terminal import HEADEND, LIMIT_S, Meters, Terminal

RANGE = ("--from", "yesterday", "--to", "now")


@pytest.fixture
def meters(terminal: Terminal) -> Iterator[Meters]:
    meters = terminal.meters(2, days=3)
    yield meters
    meters.stop()


def expected(meters: Meters, index: int) -> dict[datetime, dict[str, str]]:
    """What a meter must have said, by start."""
    serial = meters.rows[index]["serial"]
    with meters.expect.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["serial"] == serial]
    return {datetime.fromisoformat(row["start"]): row for row in rows}


@pytest.mark.parametrize("client", ["", "?client=48"])
def test_json_holds_what_the_meter_said(terminal: Terminal, meters: Meters, client: str) -> None:
    printed = terminal.run("read", meters.address() + client, "block-load", *RANGE, "--keys", meters.registry, "--json")
    said = json.loads(printed.stdout)
    truth = expected(meters, 0)
    assert said["system_title"] == meters.rows[0]["system_title"]
    assert len(said["intervals"]) > 90
    for row in said["intervals"]:
        start = datetime.fromisoformat(row["start"])
        assert row["start"].endswith("+05:30")
        if start < meters.end:
            assert round(row["wh_import"] * 1000) == int(truth[start]["wh_import"])
            assert round(row["voltage"] * 1000) == int(truth[start]["voltage"])
            assert row["quality"] == []


def test_csv_and_table_are_for_pipes_and_eyes(terminal: Terminal, meters: Meters) -> None:
    address = meters.address(1)
    printed = terminal.run("read", address, "block-load", *RANGE, "--keys", meters.registry, "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert len(rows) > 90
    assert set(rows[0]) >= {"start", "interval_s", "voltage", "wh_import", "quality"}
    table = terminal.run("read", address, "block-load", *RANGE, "--keys", meters.registry).stdout
    assert "intervals of 15 min" in table
    assert "…" not in table
    assert "\x1b[" not in printed + table


def test_a_wrong_key_or_password_is_said_in_one_line(terminal: Terminal) -> None:
    # Not the fixture: counters begin anew under the wrong key, which the simulator can't tell from a repeat.
    row = terminal.meters(1).rows[0]
    keys = terminal.folder / "meter.toml"
    right = {name: row[name] for name in ("encryption_key", "authentication_key", "lls_secret")}
    for name, wrong in (
        ("encryption_key", "00112233445566778899AABBCCDDEEFF"),
        ("authentication_key", "00112233445566778899AABBCCDDEEFF"),
        ("lls_secret", "wrong-password"),
    ):
        keys.write_text("\n".join(f'{key} = "{value}"' for key, value in (right | {name: wrong}).items()))
        told = terminal.refusal("read", row["address"], "block-load", "--keys", keys, exit_code=7)
        assert told.startswith(f"{row['address']} · associate: ")
        assert "key" in told or "password" in told
        for secret in (*right.values(), wrong):
            assert secret not in told


def test_each_association_says_what_it_refuses(terminal: Terminal, meters: Meters) -> None:
    row = meters.rows[0]
    keys = terminal.folder / "meter.toml"
    keys.write_text("\n".join(f'{name} = "{row[name]}"' for name in ("encryption_key", "authentication_key")))
    for secret in ("0123456789ABCDEF", "short"):
        told = terminal.refusal(
            "read", f"{row['address']}?client=48", "block-load", "--keys", keys, exit_code=7, HEADEND_SECRET=secret
        )
        assert "associate, HLS pass 3: " in told
        assert "the HLS secret or a key is not the meter's" in told
        assert secret not in told
    told = terminal.refusal("read", f"{row['address']}?client=16", "block-load", exit_code=7)
    assert "read-write denied" in told


def test_another_meter_than_the_one_of_the_list_is_refused(terminal: Terminal, meters: Meters) -> None:
    text = meters.registry.read_text()
    meters.registry.write_text(text.replace(meters.rows[0]["system_title"], "0102030405060708"))
    told = terminal.refusal("read", meters.address(), "block-load", "--keys", meters.registry, exit_code=9)
    assert "0102030405060708" in told


def test_another_meter_at_the_address_is_refused(terminal: Terminal, meters: Meters) -> None:
    title = meters.rows[1]["system_title"]
    told = terminal.refusal(
        "read", meters.address(), "block-load", "--keys", meters.registry, "--system-title", title, exit_code=9
    )
    assert f"{title} is" in told


def test_keys_come_from_the_environment_and_by_hand_with_a_warning(terminal: Terminal, meters: Meters) -> None:
    row = meters.rows[0]
    environment = {
        "HEADEND_ENCRYPTION_KEY": row["encryption_key"],
        "HEADEND_AUTHENTICATION_KEY": row["authentication_key"],
        "HEADEND_SECRET": row["lls_secret"],
    }
    done = terminal.run("read", row["address"], "block-load", "--json", **environment)
    assert json.loads(done.stdout)["intervals"]
    assert done.stderr == ""
    options = ("--encryption-key", row["encryption_key"], "--authentication-key", row["authentication_key"])
    done = terminal.run("read", row["address"], "block-load", "--json", *options, "--secret", row["lls_secret"])
    assert json.loads(done.stdout)["intervals"]
    assert "can be seen by others" in done.stderr
    told = terminal.refusal("read", row["address"], "block-load", exit_code=3)
    assert "HEADEND_" in told
    assert "--keys" in told


def test_keys_are_asked_for_at_a_terminal_and_not_shown(terminal: Terminal, meters: Meters) -> None:
    row = meters.rows[0]
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(HEADEND, [str(HEADEND), "read", row["address"], "block-load", "--ask", "--csv"], terminal.environment)
    shown = b""
    for prompts, name in enumerate(("encryption_key", "authentication_key", "lls_secret"), 1):
        while shown.count(b": ") < prompts:
            shown += os.read(screen, 4096)
        os.write(screen, row[name].encode() + b"\n")
    with open(screen, "rb", buffering=0) as rest:
        try:
            while more := rest.read(4096):
                shown += more
        except OSError:
            pass  # the other end is gone: how a pseudo-terminal ends
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert b"wh_import" in shown
    for name in ("encryption_key", "authentication_key", "lls_secret"):
        assert row[name].encode() not in shown


def test_without_a_terminal_nothing_is_asked_and_nothing_waits(terminal: Terminal, meters: Meters) -> None:
    done = subprocess.run(
        [HEADEND, "read", meters.address(), "block-load", "--ask"],
        env=terminal.environment,
        input="typed in vain\n",
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        start_new_session=True,
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert "without a terminal" in done.stderr.splitlines()[-1]


@contextmanager
def answering(octets: bytes) -> Iterator[int]:
    """A server that answers anything with these octets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while True:
                    peer, _ = server.accept()
                    with peer:
                        peer.recv(1024)
                        peer.sendall(octets)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_each_kind_of_failure_has_its_exit_code_and_a_remedy(terminal: Terminal, meters: Meters) -> None:
    keys = terminal.folder / "meter.toml"
    row = meters.rows[0]
    keys.write_text("\n".join(f'{name} = "{row[name]}"' for name in row if "key" in name or "secret" in name))

    def refusal(address: str, exit_code: int, *options: str) -> str:
        return terminal.refusal("read", address, "block-load", "--keys", keys, *options, exit_code=exit_code)

    assert "check host, port and firewall" in refusal("tcp://127.0.0.1:9", 4)
    assert "is not known" in refusal("tcp://no.such.host.invalid:4059", 4)
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert "not a wrapper frame" in refusal(f"tcp://127.0.0.1:{port}", 5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}?timeout=0.5"
        assert "no answer within 0.5 s" in refusal(address, 4)
    assert "write it as tcp://" in refusal("ftp://127.0.0.1", 3)
    assert "is not before" in refusal(row["address"], 3, "--from", "now", "--to", "yesterday")
    assert "is not a time" in refusal(row["address"], 3, "--from", "last tuesday")
    assert "no meter type" in refusal(row["address"], 3, "--type", "is15959-9ph")
    told = refusal(row["address"] + "?client=99", 3)
    assert "has no association for client 99" in told
    assert "its type was guessed: --type names another" in told
    assert "closed the connection" in refusal(row["address"] + "?server=77", 4)
    assert "object undefined" in refusal(row["address"], 7, "--type", "smr")


def test_meters_of_other_families_are_read_as_the_type_that_their_list_names(terminal: Terminal) -> None:
    types = ("is15959-part1-1ph", "is15959-part1-3ph", "smr", "idis")
    for name, meters in [(name, terminal.meters(1, "--type", name, seed=seed)) for seed, name in enumerate(types)]:
        row, truth = meters.rows[0], expected(meters, 0)
        printed = terminal.run("read", row["address"], "block-load", "--keys", meters.registry, "--json").stdout
        said = json.loads(printed)
        assert said["meter_type"] == name
        known = [one for one in said["intervals"] if datetime.fromisoformat(one["start"]) in truth]
        assert len(known) > 20
        for one in known:
            for column in ("wh_import", "wh_import_register"):
                wanted = truth[datetime.fromisoformat(one["start"])].get(column)
                assert not wanted or round(one[column] * 1000) == int(wanted)
    keys = terminal.folder / "idis.toml"
    keys.write_text(
        "\n".join(f'{key} = "{row[key]}"' for key in ("encryption_key", "authentication_key", "lls_secret"))
    )
    told = terminal.refusal("read", row["address"], "block-load", "--keys", keys, exit_code=7)
    assert "object undefined" in told
    assert "its type was guessed: --type names another" in told


def test_counters_are_kept_on_this_machine_and_never_come_twice(terminal: Terminal, meters: Meters) -> None:
    kept = terminal.folder / "counters.json"
    seen = []
    for _ in range(3):
        terminal.run(
            "read", meters.address(), "block-load", "--keys", meters.registry, "--counters", kept, "--csv", *RANGE
        )
        seen.append(json.loads(kept.read_text()))
    assert kept.stat().st_mode & 0o077 == 0
    assert len({state["client_system_title"] for state in seen}) == 1
    numbers = [next(iter(state["next"].values())) for state in seen]
    assert numbers == sorted(set(numbers))
    assert meters.rows[0]["encryption_key"].lower() not in kept.read_text().lower()
    assert datetime.now(UTC) > meters.start
