"""`headend book`, as an engineer keeps it, and the meters' names where commands take an address."""

from __future__ import annotations

import json

from raw_ways import at_a_terminal, keys, said
from terminal import Meters, Terminal

PASSPHRASE = {"HEADEND_BOOK_PASSPHRASE": "correct horse battery"}


def test_a_meter_is_read_by_its_name_with_the_keys_of_the_book(terminal: Terminal, fleet: Meters) -> None:
    row = fleet.rows[0]
    added = terminal.run(
        "book", "add", "pole-17", row["address"], "--type", "is15959-1ph", *keys(fleet), **PASSPHRASE
    ).stdout
    assert added.startswith("pole-17 is in the book, with authentication key, encryption key, ")
    found = json.loads(terminal.run("get", "pole-17", "data", "0.0.96.1.0.255", "2", "--json", **PASSPHRASE).stdout)
    assert found["data"]["value"] == row["serial"]
    terminal.run("book", "rename", "pole-17", "pump", **PASSPHRASE)
    rows = terminal.run("read", "pump", "block-load", "--last", "2h", "--csv", **PASSPHRASE).stdout
    assert len(rows.splitlines()) > 4
    by_setting = ("objects", "pump", "--client", "48", "--json")
    assert len(json.loads(terminal.run(*by_setting, **PASSPHRASE).stdout)) > len(
        said(terminal, "objects", row["address"])
    )


def test_public_reads_by_name_ask_for_no_passphrase(terminal: Terminal, fleet: Meters) -> None:
    terminal.run("book", "add", "pole", fleet.address(1), "--type", "is15959-1ph", *keys(fleet), **PASSPHRASE)
    clock = said(terminal, "get", "pole", "--client", "16", "clock", "clock", "time")
    assert clock["data"]["type"] == "octet-string"
    asked = terminal.refusal("get", "pole", "clock", "clock", "time", exit_code=3)
    assert "no terminal to ask for the passphrase of the book" in asked


def test_another_meter_than_the_saved_one_is_refused(terminal: Terminal, fleet: Meters) -> None:
    title = fleet.rows[1]["system_title"]
    added = ("book", "add", "pole", fleet.address(2), "--type", "is15959-1ph", "--system-title", title)
    terminal.run(*added, *keys(fleet), **PASSPHRASE)
    told = terminal.refusal("get", "pole", "clock", "clock", "time", exit_code=9, **PASSPHRASE)
    assert f"{title} is registered" in told


def test_a_whole_list_is_taken_in_and_shown_without_keys(terminal: Terminal, fleet: Meters) -> None:
    assert terminal.run("book", "import", fleet.registry, **PASSPHRASE).stdout == "6 of 6 meters new or changed\n"
    assert terminal.run("book", "import", fleet.registry, **PASSPHRASE).stdout == "0 of 6 meters new or changed\n"
    shown = terminal.run("book", "list").stdout + terminal.run("book", "list", "--json").stdout
    shown += terminal.run("book", "show", fleet.rows[0]["name"], "--json").stdout
    for row in fleet.rows:
        for name in ("encryption_key", "authentication_key", "lls_secret", "hls_secret", "master_key"):
            assert row.get(name) or name == "master_key"
            assert not row.get(name) or row[name] not in shown
    [first, *_] = json.loads(terminal.run("book", "list", "--json").stdout)
    assert set(first["keys"]) >= {"encryption_key", "authentication_key", "lls_secret", "hls_secret"}


def test_keys_and_passphrase_typed_at_a_terminal_are_not_seen(terminal: Terminal, fleet: Meters) -> None:
    row = fleet.rows[3]
    answers = [
        (f"{name} (Enter: none): ".encode(), row[name.replace(" ", "_")])
        for name in ("encryption key", "authentication key", "lls secret", "hls secret")
    ]
    passphrase = [
        (b"new passphrase of the book: ", "correct horse battery"),
        (b"same passphrase again: ", "correct horse battery"),
    ]
    code, screen = at_a_terminal(
        terminal, "book", "add", "pole", row["address"], "--type", "is15959-1ph", "--ask", answers=answers + passphrase
    )
    assert code == 0, screen
    assert b"pole is in the book, with authentication key, encryption key, hls secret, lls secret" in screen
    for _, typed in answers + passphrase:
        assert typed.encode() not in screen
    read = ("get", "pole", "data", "0.0.96.1.0.255", "2")
    code, screen = at_a_terminal(terminal, *read, answers=[(b"passphrase of the book: ", "correct horse battery")])
    assert code == 0, screen
    assert row["serial"].encode() in screen


def test_a_meter_is_forgotten_only_when_that_is_meant(terminal: Terminal) -> None:
    terminal.run("book", "add", "pole", "tcp://127.0.0.1:4059")
    assert "add --yes" in terminal.refusal("book", "remove", "pole", exit_code=3)
    code, _ = at_a_terminal(terminal, "book", "remove", "pole", answers=[(b"forget pole (no keys)?", "n")])
    assert code == 1
    assert terminal.run("book", "show", "pole").stdout.startswith("name: pole\naddress: tcp://127.0.0.1:4059\n")
    terminal.run("book", "remove", "pole", "--yes")
    assert "there is no 'pole' in the book" in terminal.refusal("book", "show", "pole", exit_code=3)
    assert terminal.run("book", "list").stdout.startswith("the book is empty")


def test_a_name_that_is_not_there_is_told_with_how_addresses_are_written(terminal: Terminal) -> None:
    told = terminal.refusal("get", "pole", "clock", "clock", "time", exit_code=3)
    assert told.startswith("'pole' is neither an address nor a meter in the book")
