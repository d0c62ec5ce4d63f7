"""The registry as an operator keeps it: lists taken, meters looked at, changed, replaced, retired."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from screen import Screen
from terminal import Terminal

HEADER = "name,serial,address,meter_type,commissioned_at,division,transformer,consumer_id,encryption_key"
KEY = "5EC2E7" * 5 + "AA"


class Office:
    """A terminal with a database, a vault and a list of three meters, two of them installed."""

    def __init__(self, terminal: Terminal, dsn: str) -> None:
        self.terminal = terminal
        self.list = terminal.folder / "meters.csv"
        self.write(
            f"m1,SN1,tcp://127.0.0.1,is15959-1ph,2026-01-01,Datia,T1,C1,{KEY}",
            f"m2,SN2,tcp://127.0.0.2,is15959-1ph,2026-01-01,Datia,T2,C2,{KEY}",
            f"m3,SN3,tcp://127.0.0.3,is15959-1ph,2026-01-01,,,,{KEY}",
        )
        terminal.run("vault", "init", terminal.folder / "kek")
        self.environment = {
            "HEADEND_DATABASE__DSN": dsn,
            "HEADEND_VAULT__KEK_FILE": str(terminal.folder / "kek"),
        }

    def write(self, *rows: str) -> None:
        self.list.write_text("\n".join((HEADER, *rows)))

    def run(self, *arguments: str | Path) -> str:
        return self.terminal.run("meters", *arguments, exit_code=0, **self.environment).stdout

    def refusal(self, *arguments: str) -> str:
        return self.terminal.refusal("meters", *arguments, exit_code=3, **self.environment)

    def states(self, *options: str) -> dict[str, str]:
        return {meter["name"]: meter["state"] for meter in json.loads(self.run("list", "--json", *options))}


@pytest.fixture
def office(terminal: Terminal, timescale_dsn: str) -> Office:
    return Office(terminal, timescale_dsn)


def test_a_list_is_tried_taken_and_changes_nothing_the_second_time(office: Office) -> None:
    tried = office.run("import", office.list, "--dry-run")
    assert tried == "nothing is changed; it would be: 3 meters new, 0 changed, 0 as before; 3 keys stored\n"
    assert office.states() == {}
    assert office.run("import", office.list) == "3 meters new, 0 changed, 0 as before; 3 keys stored\n"
    counted = json.loads(office.run("import", office.list, "--json"))
    assert counted == {"created": 0, "updated": 0, "unchanged": 3, "keys": 0, "dry_run": False}
    shown = office.run("show", "SN1")
    assert "transformer T1, consumer C1" in shown
    assert "encryption      version 1, active" in shown
    assert KEY not in shown + office.run("show", "m1", "--json")


def test_a_list_with_faults_tells_each_with_its_row_and_no_key(office: Office) -> None:
    office.write(
        f"m1,SN1,tcp://127.0.0.1,is15959-1ph,2026-01-01,Datia,T1,C1,{KEY}",
        f"m2,SN1,tcp://127.0.0.2,is15959-1ph,2026-01-01,Datia,T2,C2,{KEY}",
        f"m3,SN3,ftp://127.0.0.3,is15959-1ph,2026-01-01,,,,{KEY[:-1]}",
    )
    told = office.terminal.run("meters", "import", office.list, exit_code=3, **office.environment).stderr
    assert "3 faults; nothing was imported" in told
    for line in ("line 3, serial: sn1", "line 4, address: ", "line 4, encryption_key: "):
        assert f"\n{line}" in told.replace("SN1 stands", "sn1 stands")
    assert KEY[:-1] not in told
    assert office.states() == {}


def test_on_a_terminal_an_import_shows_how_far_it_is(office: Office) -> None:
    rows = [f"x{n},XN{n},tcp://127.3.0.{n},is15959-1ph,2026-01-01,Datia,T1,,{KEY}" for n in range(1, 200)]
    office.write(*rows)
    screen = Screen(office.terminal, "meters", "import", office.list, **office.environment)
    screen.shows("199 meters new")
    assert screen.ends() == 0
    assert "reading" in screen.seen
    assert KEY not in screen.seen


def test_a_meter_is_moved_replaced_retired_and_taken_back(office: Office) -> None:
    office.run("import", office.list)
    assert office.run("set", "m1", "--consumer", "C9", "--at", "2026-02-01") == "m1 is changed\n"
    assert office.run("set", "m1", "--consumer", "C9") == "m1 is so already\n"
    done = office.run("replace", "m1", "SN3", "--at", "2026-02-03T11:40", "--last-reading", "4812.6")
    assert done == "SN3 stands in the place of m1, which is retired\n"
    facts = json.loads(office.run("show", "m1", "--json"))
    assert [each["consumer_id"] for each in facts["installations"]] == ["C9", "C1"]
    assert facts["installations"][0]["removed_at"] == "2026-02-03T06:10:00+00:00"
    assert (facts["installations"][0]["last_reading"], facts["installations"][0]["replaced_by"]) == ("4812.6", "m3")
    assert "transformer T1, consumer C9" in office.run("show", "m3")
    assert office.run("retire", "m2") == "m2 is retired\n"
    assert office.states() == {"m1": "retired", "m2": "retired", "m3": "registered"}
    assert office.states("--transformer", "T1") == {"m3": "registered"}
    assert office.run("set", "m2", "--state", "registered") == "m2 is changed\n"
    assert office.states("--division", "Datia", "--state", "registered") == {"m2": "registered", "m3": "registered"}


def test_a_meter_is_left_alone_and_read_again(office: Office) -> None:
    office.run("import", office.list)
    assert office.run("park", "m1", "--reason", "cabinet burnt") == "m1 is parked: cabinet burnt\n"
    assert office.run("park", "SN1", "--reason", "again") == "SN1 is parked: cabinet burnt\n"
    assert office.states("--parked") == {"m1": "registered"}
    office.run("unpark", "m1")
    assert office.run("list", "--parked") == "no meter is parked\n"


def test_what_cannot_be_done_to_a_meter_says_why_in_one_line(office: Office) -> None:
    office.run("import", office.list)
    for arguments, told in (
        (["show", "m9"], "there is no meter 'm9'"),
        (["set", "m1"], "there is nothing to change"),
        (["set", "m1", "--consumer", " "], "consumer_id: it is empty"),
        (["set", "m1", "--type", "is15959-9ph"], "no meter type 'is15959-9ph' is known"),
        (["set", "m1", "--address", "ftp://x"], "is not a meter address"),
        (["set", "m1", "--feeder", "F", "--at", "2020-01-01"], "give a later --at"),
        (["retire", "m1", "--at", "2099-01-01"], "is still to come"),
        (["retire", "m1", "--last-reading", "many"], "'many' is no number of kWh"),
        (["replace", "m1", "m2", "--at", "2026-02-01"], "m2: it is installed elsewhere already"),
    ):
        assert told in office.refusal(*arguments)
    assert set(office.states().values()) == {"registered"}


def test_the_meter_list_of_a_simulated_fleet_has_the_grid_that_it_hangs_on(terminal: Terminal) -> None:
    meters = terminal.meters(3)
    with meters.registry.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["feeder"], row["transformer"]) for row in rows] == [("Simulated F01", "Simulated F01 T001")] * 3
    meters.stop()
