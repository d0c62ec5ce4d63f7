"""`headend set` and `call`, as an engineer runs them: what they show, ask, refuse and record."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from many import Many
from raw_ways import DEMAND_PERIOD, READER, SERIAL, SWITCH, UTILITY, at_a_terminal, keys
from terminal import Meters, Terminal

from headend.audit_file import AuditFile


def audit(terminal: Terminal) -> list[dict[str, Any]]:
    file = terminal.folder / "state" / "headend" / "audit.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_set_shows_before_and_after_and_takes_what_get_printed(terminal: Terminal, fleet: Meters) -> None:
    address, way = fleet.address(1), (*UTILITY, *keys(fleet))
    was = terminal.run("get", address, *DEMAND_PERIOD, *way, "--json").stdout
    value = json.loads(was)["data"]["value"]
    done = terminal.run("set", address, *DEMAND_PERIOD, "u16:600", *way, "--yes").stdout
    assert done.splitlines() == [
        "1 Data · 1.0.0.8.0.255 Demand integration period · 2 value",
        f"before: long-unsigned {value}",
        "set to: long-unsigned 600",
        "after: long-unsigned 600",
    ]
    back = terminal.run("set", address, *DEMAND_PERIOD, "-", *way, "--yes", "--json", given=was)
    assert json.loads(back.stdout)["after"][0]["data"] == {"type": "long-unsigned", "value": value}
    assert [(line["act"], line["obis"], line["outcome"]) for line in audit(terminal)] == [
        ("set", "1.0.0.8.0.255", outcome) for outcome in ("asked", "done") * 2
    ]
    assert audit(terminal)[0]["value"] == {"type": "long-unsigned", "value": 600}


def test_a_value_that_the_meter_or_we_refuse_changes_nothing(terminal: Terminal, fleet: Meters) -> None:
    address, way = fleet.address(2), (*UTILITY, *keys(fleet), "--yes")
    many = Many(terminal)
    for value in ("u16:70000", "@none"):
        many.run("set", address, *DEMAND_PERIOD, value, *way)
    many.run("set", address, *DEMAND_PERIOD, "u16:600", *way[:-1])
    many.run("set", address, *DEMAND_PERIOD, "u8:5", *way)
    many.run("set", address, *SERIAL, "str:other", *way)
    many.run("set", address, *DEMAND_PERIOD, "u16:600", *READER, *keys(fleet), "--yes")
    many.refusals(
        [
            (3, "whole number from 0 to 65535"),
            (3, "none can't be read: No such file"),
            (3, "there is no terminal to confirm this at (add --yes)"),
            (7, "the meter answered type unmatched"),
            (7, "set 1/0.0.96.1.0.255/2: the meter answered read-write denied"),
            (7, "the meter answered read-write denied"),
        ]
    )
    assert [line["outcome"] for line in audit(terminal)] == [
        outcome
        for answer in ("type unmatched", "read-write denied", "read-write denied")
        for outcome in ("asked", f"failed: the meter answered {answer}")
    ]


def test_a_customer_is_cut_off_only_by_who_names_the_serial_number(terminal: Terminal, fleet: Meters) -> None:
    row, other, way = fleet.rows[3], fleet.rows[4], (*UTILITY, *keys(fleet))
    cut = ("call", row["address"], *SWITCH, "remote_disconnect", "i8:0", *way)
    many = Many(terminal)
    many.run(*cut, "--yes")
    many.run(*cut, "--yes", "--serial", other["serial"])
    for act in (
        ("set", row["address"], "security-setup", "0.0.43.0.0.255", "2", "enum:0"),
        ("call", row["address"], "18", "0.0.44.0.0.255", "1"),
        ("call", row["address"], "15", "0.0.40.0.0.255", "2", "octets:00"),
        ("set", row["address"], "71", "0.0.17.0.0.255", "4", "u32:0"),
    ):
        many.run(*act, *way, "--yes")
    needed = (3, "not changed without the meter's serial number")
    told = many.refusals([needed, (9, "nothing was changed"), *[needed] * 4])
    assert row["serial"] not in told[1]
    state = ("get", row["address"], *SWITCH, "control_state", *way)
    assert "enum 1  connected" in terminal.run(*state).stdout
    done = terminal.run(*cut, "--serial", row["serial"]).stdout
    assert "before: control_state: enum 1  connected" in done
    assert "after: control_state: enum 0  disconnected" in done
    assert "enum 0  disconnected" in terminal.run(*state).stdout
    assert [(line["serial"], line["outcome"]) for line in audit(terminal)] == [
        (other["serial"], "refused: another serial number"),
        (row["serial"], "asked"),
        (row["serial"], "done"),
    ]


def test_only_so_many_dangerous_acts_go_in_an_hour(terminal: Terminal, fleet: Meters) -> None:
    row = fleet.rows[4]
    file = terminal.folder / "state" / "headend" / "audit.jsonl"
    for _ in range(10):
        AuditFile(file).append({"limited": "guarded"}, datetime.now(UTC))
    mode = ("set", row["address"], *SWITCH, "control_mode", "enum:1", *UTILITY, *keys(fleet))
    told = terminal.refusal(*mode, "--serial", row["serial"], exit_code=3)
    assert "10 such acts were done from here within 1 h" in told
    # An altered record is no way around it.
    file.write_text("".join(file.read_text().splitlines(keepends=True)[4:]))
    assert "was altered" in terminal.refusal(*mode, "--serial", row["serial"], exit_code=3)


def test_a_new_password_is_neither_printed_nor_recorded(terminal: Terminal, fleet: Meters) -> None:
    row = fleet.rows[4]
    (terminal.folder / "new").write_text("text:NEWPASSW")
    password = ("association-ln", "0.0.40.0.2.255", "secret", "@new")
    done = terminal.run("set", row["address"], *password, *UTILITY, *keys(fleet), "--serial", row["serial"])
    assert done.stdout.splitlines()[1:] == [
        "before: not readable: the meter answered read-write denied",
        "set to: redacted",
        "after: not readable: the meter answered read-write denied",
    ]
    assert [line["value"] for line in audit(terminal)] == [{"type": "redacted"}] * 2
    trusted = {name: row[f"{name.lower()}_key"] for name in ("ENCRYPTION", "AUTHENTICATION")}
    found = terminal.run(
        "get",
        row["address"],
        *SERIAL,
        *READER,
        exit_code=0,
        given=None,
        HEADEND_SECRET="NEWPASSW",
        **{f"HEADEND_{name}_KEY": key for name, key in trusted.items()},
    )
    assert row["serial"] in found.stdout


# --- at a terminal ---------------------------------------------------------------------------------------------


def test_a_person_is_shown_what_is_there_and_asked(terminal: Terminal, fleet: Meters) -> None:
    row, way = fleet.rows[5], (*UTILITY, *keys(fleet))
    ask = ("set", row["address"], *DEMAND_PERIOD, "u16:600", *way)
    code, screen = at_a_terminal(terminal, *ask, answers=[(b"go on?", "n")])
    assert (code, audit(terminal)) == (1, [])
    assert b"before: long-unsigned" in screen
    assert b"nothing was changed" in screen
    code, screen = at_a_terminal(terminal, *ask, answers=[(b"go on?", "y")])
    assert code == 0, screen
    assert b"after: long-unsigned 600" in screen
    cut = ("call", row["address"], *SWITCH, "remote_disconnect", "i8:0", *way, "--yes")
    code, screen = at_a_terminal(terminal, *cut, answers=[(b"serial number of the meter", "")])
    assert (code, b"nothing was changed" in screen) == (1, True)
    code, screen = at_a_terminal(terminal, *cut, answers=[(b"serial number of the meter", row["serial"])])
    assert code == 0, screen
    assert b"after: control_state: enum 0  disconnected" in screen
