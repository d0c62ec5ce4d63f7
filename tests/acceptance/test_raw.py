"""`headend get`, `set`, `call`, `profile` and `objects`, as an engineer runs them at a meter without a type file."""

from __future__ import annotations

import csv
import io
import json
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from many import Many
from raw_ways import MESSAGE, READER, SERIAL, SWITCH, UTILITY, at_a_terminal, keys, said
from terminal import LIMIT_S, Meters, Terminal

from drivers.dlms.security import PrivateKey
from simulators.fleet import Fleet

BLOCK_LOAD, SCALERS = "1.0.99.1.0.255", "1.0.94.91.4.255"
BILLING, BILLING_SCALERS = "1.0.98.1.0.255", "1.0.94.91.6.255"


# --- reading ---------------------------------------------------------------------------------------------------


def test_an_attribute_is_shown_with_its_names_type_and_meaning(terminal: Terminal, fleet: Meters) -> None:
    address, serial = fleet.address(), fleet.rows[0]["serial"]
    assert terminal.run("get", address, *SERIAL).stdout == (
        f"1 Data · 0.0.96.1.0.255 Serial number · 2 value\nvisible-string '{serial}'\n"
    )
    clock = terminal.run("get", address, "8", "clock", "time").stdout
    assert re.search(r"^octet-string 07[0-9a-f]{22}  20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d$", clock, re.MULTILINE)
    listed = terminal.run(
        "get", address, *READER, *keys(fleet), "profile-generic", BLOCK_LOAD, "capture_objects"
    ).stdout
    assert "    obis: octet-string 0000010000ff  0.0.1.0.0.255 Clock\n" in listed
    found = said(terminal, "get", address, *READER, *keys(fleet), "7", "1-0:99.1.0", "4")
    assert found == {
        "address": address,
        "system_title": fleet.rows[0]["system_title"],
        "class_id": 7,
        "class_name": "Profile generic",
        "obis": BLOCK_LOAD,
        "obis_name": "Load profile 1 (block load)",
        "attribute": 4,
        "attribute_name": "capture_period",
        "data": {"type": "double-long-unsigned", "value": 900},
    }


def test_the_objects_are_listed_with_names_and_rights(terminal: Terminal, fleet: Meters) -> None:
    public = said(terminal, "objects", fleet.address())
    utility = said(terminal, "objects", fleet.address(), *UTILITY, *keys(fleet))
    assert 5 < len(public) < len(utility)
    rights = {one["obis"]: one for one in utility}
    switch = rights[SWITCH[1]]
    assert (switch["class_id"], switch["class_name"], switch["version"]) == (70, "Disconnect control", 0)
    assert [one["name"] for one in switch["methods"] if one["access"] == ["call"]] == [
        "remote_disconnect",
        "remote_reconnect",
    ]
    assert rights[BLOCK_LOAD]["attributes"][1] == {
        "attribute": 2,
        "name": "buffer",
        "access": ["read"],
        "selectors": [1],
    }
    table = terminal.run("objects", fleet.address()).stdout
    assert re.search(r"^ +8 +Clock +0 +0\.0\.1\.0\.0\.255 +Clock +1-", table, re.MULTILINE)
    assert table.endswith(f"{len(public)} objects\n")


def test_rows_of_a_profile_are_what_the_meter_recorded(terminal: Terminal, fleet: Meters) -> None:
    ask = ("profile", fleet.address(), BLOCK_LOAD, *READER, *keys(fleet), "--zone", "Asia/Kolkata")
    found = said(terminal, *ask, "--last", "24h", "--scalers", SCALERS)
    names = [column["obis"] for column in found["columns"]]
    assert names[0] == "0.0.1.0.0.255"
    units = {column["obis"]: column["unit"] for column in found["columns"]}
    assert (units["1.0.1.29.0.255"], units["1.0.12.27.0.255"], units["0.0.1.0.0.255"]) == ("Wh", "V", None)
    with fleet.expect.open() as lines:
        expected = {
            (datetime.fromisoformat(row["start"]).timestamp() + 900): row
            for row in csv.DictReader(lines)
            if row["serial"] == fleet.rows[0]["serial"]
        }
    compared = 0
    for row in found["rows"]:
        stamp = datetime.fromisoformat(f"{row[0]}+05:30").timestamp()
        if stamp in expected:
            compared += 1
            assert round(row[names.index("1.0.1.29.0.255")] * 1000) == int(expected[stamp]["wh_import"])
            assert round(row[names.index("1.0.12.27.0.255")] * 1000) == int(expected[stamp]["voltage"])
    assert compared >= 94
    assert len(found["rows"]) in (96, 97)


def test_rows_and_columns_are_chosen_by_number_and_printed_as_csv_and_table(terminal: Terminal, fleet: Meters) -> None:
    ask = ("profile", fleet.address(), BLOCK_LOAD, *READER, *keys(fleet))
    bills = ("profile", fleet.address(), BILLING, *READER, *keys(fleet))
    lines = list(
        csv.reader(
            io.StringIO(
                terminal.run(
                    *bills, "--entries", "1:4", "--columns", "1,1.0.1.8.0.255", "--scalers", BILLING_SCALERS, "--csv"
                ).stdout
            )
        )
    )
    assert lines[0] == ["3/0.0.0.1.2.255/2", "3/1.0.1.8.0.255/2 [Wh]"]
    assert len(lines) == 2, "the running month alone: the meters are new"
    last = said(terminal, *bills, "--entries", "-1:", "--raw")
    assert len(last["rows"]) == 1
    assert {column["unit"] for column in last["columns"]} == {None}
    done = terminal.run(*ask, "--last", "1h", "--zone", "Asia/Kolkata")
    assert done.stdout.startswith(f"{BLOCK_LOAD} Load profile 1 (block load) · 4 rows\n")
    assert "…" not in done.stdout
    assert "\x1b[" not in done.stdout
    assert done.stderr == "", "where no scaler profile is named, each register tells its own"
    # A type knows where the scalers are, and which association reads.
    typed = terminal.run(
        "profile", fleet.address(), BLOCK_LOAD, "--type", "is15959-1ph", *keys(fleet), "--from", "today", "--csv"
    )
    assert typed.stderr == ""
    assert "3/1.0.12.27.0.255/2 [V]" in typed.stdout


# --- every way in ----------------------------------------------------------------------------------------------

WAYS: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "lls": ({"mechanism": 1}, ("--mechanism", "lls")),
    "hls": ({"mechanism": 2}, ("--mechanism", "aes")),
    "md5": ({"mechanism": 3}, ("--mechanism", "md5")),
    "sha1": ({"mechanism": 4}, ("--mechanism", "sha1")),
    "gmac": ({"mechanism": 5, "security_control": 0x01}, ("--mechanism", "gmac")),
    "sha256": ({"mechanism": 6}, ("--mechanism", "sha256")),
    "ecdsa": ({"mechanism": 7, "security_control": 0x01}, ("--mechanism", "7")),
    "authenticated": ({"security_control": 0x11}, ("--security", "authentication")),
    "encrypted": ({"security_control": 0x21, "mechanism": 5}, ("--security", "encryption", "--mechanism", "5")),
    "dedicated": ({"security_control": 0x31, "ciphering": "ded"}, ("--security", "both", "--ciphering", "ded")),
    "general": (
        {"security_control": 0x31, "ciphering": "general-glo"},
        ("--security", "both", "--ciphering", "general-glo"),
    ),
    "general_dedicated": (
        {"security_control": 0x31, "ciphering": "general-ded"},
        ("--security", "both", "--ciphering", "general-ded"),
    ),
    **{
        name: (
            {"security_control": 0x31, "ciphering": "general-ciphering", "key_origin": origin},
            ("--security", "both", "--ciphering", "general-ciphering", "--key-origin", origin),
        )
        for name, origin in (
            ("identified", "identified"),
            ("wrapped", "wrapped"),
            ("one_pass", "one-pass"),
            ("static_unified", "static-unified"),
        )
    },
    "signed": ({"security_control": 0x31, "signed": True}, ("--security", "both", "--signed")),
    "pre_established": ({"pre_established": True}, ("--pre-established",)),
}
"""What the meter's type has of an association, and the options that mean the same."""


def meter_type(folder: Path) -> Path:
    """The simulated meter's own type, all in suite 1, with an association for each way in, clients 101 and so on."""
    bundled = Path(sys.modules["profiles"].__path__[0]) / "types" / "is15959-1ph.toml"
    text = re.sub(r"(security_control = 0x[123])0", r"\g<1>1", bundled.read_text())
    sections = []
    for number, (name, (stated, _)) in enumerate(WAYS.items(), 101):
        own = {"client_sap": number, "mechanism": 0, "security_control": 0, "max_pdu": 2048} | stated
        own |= {"logical_name": f"0.0.40.0.{number}.255"}
        lines = [f"{key} = {json.dumps(value)}" for key, value in own.items()]
        sections.append("\n".join([f"[associations.way_{name}]", *lines, ""]))
    head, profiles = text.split("[profiles.", 1)
    file = folder / "every-way.toml"
    file.write_text("\n".join([head, *sections]) + "\n[profiles." + profiles)
    return file


def write_keys(folder: Path, fleet: Meters) -> tuple[str, ...]:
    """Every key of the first meter, in files; the options that name them."""
    found = Fleet(1, 1, {"Simulated": 1}, datetime.now(UTC)).keys(0, suite=1)
    assert found.pairs is not None
    pairs: dict[str, bytes] = {}
    for name in ("signing", "agreement"):
        own: PrivateKey = getattr(found.pairs, f"client_{name}")
        pairs |= {name: own.octets, f"peer_{name}": getattr(found.pairs, name).public.octets}
    file = folder / "all.toml"
    texts = {f"{name}_key": octets.hex() for name, octets in pairs.items()} | {
        "encryption_key": found.encryption.octets.hex(),
        "authentication_key": found.authentication.octets.hex(),
        "master_key": found.master.octets.hex(),
        "lls_secret": found.lls.octets.decode(),
        "hls_secret": found.hls.octets.decode(),
    }
    assert texts["encryption_key"] == fleet.rows[0]["encryption_key"].lower()
    file.write_text("\n".join(f'{name} = "{text}"' for name, text in texts.items()))
    return ("--keys", str(file))


def test_every_association_is_reached_by_options_alone(terminal: Terminal) -> None:
    meters = terminal.meters(1, "--type", str(meter_type(terminal.folder)), days=0.1)
    row, all_keys = meters.rows[0], write_keys(terminal.folder, meters)
    many = Many(terminal)
    for number, (_, options) in enumerate(WAYS.values(), 101):
        client = ("--client", str(number), "--suite", "1", "--server-title", row["system_title"])
        many.run("get", row["address"], *SERIAL, *client, *options, *all_keys, "--json")
    for name, (code, out, err) in zip(WAYS, many.outcomes(), strict=True):
        assert (code, err) == (0, ""), (name, err)
        assert json.loads(out)["data"] == {"type": "visible-string", "value": row["serial"]}, name
    # A write in many blocks, under a key agreed for each APDU.
    text = terminal.folder / "message"
    text.write_text("text:" + "the quick brown fox " * 300)
    one_pass = list(WAYS).index("one_pass") + 101
    options = ("--client", str(one_pass), "--suite", "1", *WAYS["one_pass"][1], *all_keys, "--yes")
    changed = said(terminal, "set", row["address"], *MESSAGE, f"@{text}", *options)
    assert changed["before"][0]["data"]["value"] == ""
    assert changed["after"][0]["data"]["text"] == text.read_text().removeprefix("text:")
    meters.stop()


# --- at a terminal ---------------------------------------------------------------------------------------------


def test_the_octets_that_come_are_counted_on_a_terminal_alone(terminal: Terminal, fleet: Meters) -> None:
    ask = ("profile", fleet.address(), BLOCK_LOAD, *READER, *keys(fleet), "--columns", "1", "--csv")
    code, screen = at_a_terminal(terminal, *ask, answers=[], term="xterm")
    assert code == 0, screen
    assert re.search(rb"\d bytes/s|[kM]B/s", screen), screen
    assert b"Traceback" not in screen
    assert terminal.run(*ask).stderr == ""


def test_missing_keys_are_asked_for_and_not_shown(terminal: Terminal, fleet: Meters) -> None:
    row = fleet.rows[0]
    answers = [
        (f"{name.replace('_', ' ')}: ".encode(), row[column])
        for name, column in (
            ("encryption_key", "encryption_key"),
            ("authentication_key", "authentication_key"),
            ("secret", "hls_secret"),
        )
    ]
    code, screen = at_a_terminal(terminal, "get", row["address"], *SERIAL, *UTILITY, answers=answers)
    assert code == 0, screen
    assert row["serial"].encode() in screen
    for _, key in answers:
        assert key.encode() not in screen


# --- what goes wrong -------------------------------------------------------------------------------------------


def test_each_failure_is_one_line_with_its_exit_code(terminal: Terminal, fleet: Meters) -> None:
    address, reader = fleet.address(), (*READER, *keys(fleet))
    many = Many(terminal)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        cases: list[tuple[int, str, tuple[str, ...]]] = [
            (4, "check host, port and firewall", ("get", "tcp://127.0.0.1:9", *SERIAL)),
            (4, "no answer within 0.5 s", ("get", place, *SERIAL, "--timeout", "0.5")),
            (3, "write it as tcp://", ("get", "ftp://127.0.0.1", *SERIAL)),
            (3, "'cloak' is no class", ("get", address, "cloak", "0.0.1.0.0.255", "2")),
            (3, "is not an OBIS code", ("get", address, "8", "0.0.1", "2")),
            (3, "no attribute of class 8", ("get", address, "8", "0.0.1.0.0.255", "tme")),
            (7, "the meter answered object undefined", ("get", address, "1", "0.0.96.77.0.255", "2")),
            (7, "the meter answered object class inconsistent", ("get", address, "3", "0.0.96.1.0.255", "2")),
            (7, "the meter answered read-write denied", ("get", address, "1", "0.0.96.1.0.255", "9")),
            (7, "the meter refused the association", ("get", address, *SERIAL, "--client", "99")),
            (3, "no encryption key was given", ("get", address, *SERIAL, *READER)),
            (3, "no lls_secret was given", ("get", address, *SERIAL, "--client", "32", "--mechanism", "1")),
            (3, "needs none", ("get", address, *SERIAL, "--master-key", "env:HOME")),
            (3, "there is no meter type 'none'", ("get", address, *SERIAL, "--type", "none")),
            (7, "get 7/0.0.96.1.0.255/3: the meter answered object class", ("profile", address, "0.0.96.1.0.255")),
            (3, "is not before", ("profile", address, BLOCK_LOAD, *reader, "--from", "now", "--to", "today")),
            (3, "no column 99", ("profile", address, BLOCK_LOAD, *reader, "--columns", "99")),
            (3, "names no entries", ("profile", address, BLOCK_LOAD, *reader, "--entries", "9")),
            (3, "can't be written", ("objects", address, "--trace", "/no/such/folder/trace")),
        ]
        for _, _, arguments in cases:
            many.run(*arguments)
        many.refusals([(code, told) for code, told, _ in cases])


@contextmanager
def breaking_after(octets: int, address: str) -> Iterator[str]:
    """A way to a meter that breaks after so many octets of its answers."""
    host, _, port = address.removeprefix("tcp://").partition(":")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client, socket.create_connection((host, int(port))) as meter:
                left = octets
                while left > 0:
                    for ready in select.select([client, meter], [], [], LIMIT_S)[0]:
                        data = ready.recv(4096)
                        if ready is client:
                            meter.sendall(data)
                        else:
                            client.sendall(data[:left])
                            left -= len(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join(LIMIT_S)


@pytest.mark.parametrize("octets", [20, 80, 300])
def test_a_link_that_breaks_in_the_middle_is_said_in_one_line(terminal: Terminal, fleet: Meters, octets: int) -> None:
    """In the answer to the association request, in the first value, in the middle of a list."""
    with breaking_after(octets, fleet.address()) as address:
        told = terminal.refusal("objects", address, exit_code=4)
    assert told.startswith(f"{address} · ")
    assert "closed the connection" in told


def test_a_wrong_option_is_said_with_the_usage(terminal: Terminal) -> None:
    many = Many(terminal)
    for wrong in (("--mechanism", "9"), ("--suite", "3"), ("--security", "all"), ("--no-such-option",), ("one more",)):
        many.run("get", "tcp://127.0.0.1:9", *SERIAL, *wrong)
    for code, out, err in many.outcomes():
        assert (code, out) == (2, "")
        assert "Usage: headend get" in err


def test_wrong_keys_and_passwords_are_told_apart_and_not_shown(terminal: Terminal) -> None:
    # A fleet of its own: counters begin anew under the wrong key, which the simulator can't tell from a repeat.
    row = terminal.meters(1).rows[0]
    right = {
        "HEADEND_ENCRYPTION_KEY": row["encryption_key"],
        "HEADEND_AUTHENTICATION_KEY": row["authentication_key"],
        "HEADEND_SECRET": row["hls_secret"],
    }
    wrong = dict.fromkeys(right, "00112233445566778899AABBCCDDEEFF") | {"HEADEND_SECRET": "0123456789ABCDEF"}
    many, ask = Many(terminal), ("get", row["address"], *SERIAL, *UTILITY)
    for name in right:
        many.run(*ask, **right | {name: wrong[name]})
    many.run(*ask, "--server-title", "0102030405060708", **right)
    for err in many.refusals([(7, "associate")] * 3 + [(9, "0102030405060708 is registered")]):
        assert not [secret for secret in (*right.values(), *wrong.values()) if secret in err]
    done = terminal.run(*ask, "--json", exit_code=0, given=None, **right)
    assert json.loads(done.stdout)["data"]["value"] == row["serial"]


def test_a_key_on_the_command_line_is_taken_with_a_warning(terminal: Terminal, fleet: Meters) -> None:
    row = fleet.rows[0]
    file = terminal.folder / "key"
    file.write_text(row["encryption_key"])
    by_hand = ("--auth-key", row["authentication_key"], "--secret", "env:PASSWORD")
    done = terminal.run(
        "get", row["address"], *SERIAL, *READER, "--key", str(file), *by_hand, PASSWORD=row["lls_secret"]
    )
    assert done.stderr == "headend: keys on a command line can be seen by others on this machine\n"


def test_a_transcript_holds_both_connections_and_no_password(terminal: Terminal, fleet: Meters) -> None:
    trace = terminal.folder / "trace"
    terminal.run("get", fleet.address(), *SERIAL, *READER, *keys(fleet), "--trace", str(trace))
    text = trace.read_text()
    assert [line.split(" client ")[1] for line in text.splitlines() if line.startswith("#")] == [
        "16 server 1",
        "32 server 1",
    ]
    assert fleet.rows[0]["lls_secret"].encode().hex(" ") not in text
    assert " ** " in text


def test_the_commands_start_without_what_only_a_reading_needs() -> None:
    program = (
        "import sys, headend.cli.main as m, typer.testing as t\n"
        "for name in ('get', 'set', 'call', 'profile', 'objects'):\n"
        "    done = t.CliRunner().invoke(m.app, [name, '--help'])\n"
        "    assert done.exit_code == 0 and 'Example' in done.output, done.output\n"
        "print(sorted({'numpy', 'cryptography', 'psycopg', 'drivers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert done.stdout == "[]\n"
