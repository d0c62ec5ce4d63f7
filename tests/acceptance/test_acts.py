"""Acts on one meter by commands of their own: shown before and after, confirmed, counted, on record."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from many import Many
from raw_ways import at_a_terminal, keys
from screen import Screen
from terminal import Meters, Terminal


def record(terminal: Terminal) -> Path:
    return terminal.folder / "state" / "headend" / "audit.jsonl"


def outcomes(terminal: Terminal) -> list[tuple[int, str]]:
    """Class and outcome of each line of the record."""
    lines = [json.loads(line) for line in record(terminal).read_text().splitlines()]
    return [(line.get("class_id", 0), line["outcome"]) for line in lines]


@pytest.fixture
def meters(terminal: Terminal) -> Meters:
    """Four meters that a test has to itself."""
    return terminal.meters(4)


def wait_for_room() -> None:
    """Where a quarter of an hour is about to end, or has just begun, no clock is set: wait until it may be."""
    time.sleep(next(wait for wait in range(90) if 20 <= (time.time() + wait) % 900 < 870))


def test_each_thing_is_shown_and_after_a_change_what_it_was_and_is(terminal: Terminal, meters: Meters) -> None:
    row, way = meters.rows[0], keys(meters)
    address, serial = row["address"], ("--serial", row["serial"])
    many = Many(terminal)
    many.run("clock", address, *way)
    many.run("relay", address, "status", *way)
    many.run("limit", address, *way)
    many.run("push", address, *way)
    many.run("period", address, *way)
    shown = many.outcomes()
    assert [code for code, _, _ in shown] == [0] * 5
    for words, (_, out, _) in zip(
        ("this machine, give or take", "relay connected", "normal threshold: 13800.0 W", "nowhere", "900 s, "),
        shown,
        strict=True,
    ):
        assert words in out
    assert not record(terminal).exists()

    many = Many(terminal)
    many.run("relay", address, "off", *way, *serial)
    many.run("relay", address, "on", *way, *serial, "--json")
    many.run("limit", address, "--set", "5000", "--over", "30", *way, *serial, "--json")
    wait_for_room()
    many.run("clock", address, "--set", *way, "--yes", "--json")
    what = "8/0.0.1.0.0.255/2,3/1.0.1.8.0.255/2"
    many.run("push", address, "--list", "instant", "--set", "127.0.0.1:4059", "--what", what, *way, "--yes", "--json")
    many.run("period", address, "--set", "1800", *way, "--yes", "--json")
    done = many.outcomes()
    assert [code for code, _, _ in done] == [0] * 6, done
    assert done[0][1].splitlines() == [
        "relay 0.0.96.3.10.255: off",
        "before: supply on, relay connected, control mode 4",
        "order: disconnect",
        "after: supply off, relay disconnected, control mode 4",
    ]
    assert "an open relay cuts the customer off" in done[0][2]
    relay, limit, clock, push, period = (json.loads(out) for _, out, _ in done[1:])
    assert (relay["before"]["supply"], relay["after"]["supply"]) == ("off", "on")
    assert (limit["before"]["normal"], limit["after"]["normal"], limit["after"]["min_over_s"]) == (13800, 5000, 30)
    assert abs(clock["after"]["ahead_s"]) <= 2
    assert (push["before"][0]["destination"], push["after"][0]["destination"]) == ("", "127.0.0.1:4059")
    assert push["after"][0]["objects"] == what.split(",")
    assert (period["before"]["capture_period_s"], period["after"]["capture_period_s"]) == (900, 1800)
    assert period["before"]["rows"] > period["after"]["rows"] == 0
    assert "erases all rows of block-load" in done[5][2]
    assert [(kind, told) for kind, told in outcomes(terminal) if told == "done"] == [
        (kind, "done") for kind in (70, 70, 71, 71, 8, 40, 40, 1)
    ]
    for secret in ("encryption_key", "authentication_key", "lls_secret", "hls_secret"):
        assert row[secret] not in record(terminal).read_text()


def test_a_clock_is_set_within_its_interval_and_else_left_alone(terminal: Terminal) -> None:
    meters = terminal.meters(1, "--at", "2026-03-01T06:37:00Z")
    # The machine's clock is months ahead of the meter's.
    told = terminal.refusal("clock", meters.address(), "--set", "--yes", *keys(meters), exit_code=3)
    assert "do not lie in one interval of 900 s" in told
    assert "nothing was changed" in told
    assert not record(terminal).exists()


def test_a_wrong_serial_number_changes_nothing_and_a_loop_stops_at_the_limit(
    terminal: Terminal, meters: Meters
) -> None:
    rows, way = meters.rows, keys(meters)
    many = Many(terminal)
    many.run("relay", rows[0]["address"], "off", *way)
    many.run("relay", rows[0]["address"], "off", *way, "--serial", rows[1]["serial"])
    for row in rows:
        many.run("relay", row["address"], "off", *way, "--serial", row["serial"], HEADEND_ACTS__PER_HOUR="2")
    address, serial = rows[3]["address"], rows[3]["serial"]
    raw = ("--type", "is15959-1ph", "--client", "48", *way, "--serial", serial)
    off = ("call", address, "disconnect-control", "0.0.96.3.10.255", "remote_disconnect", "i8:0", *raw)
    many.run(*off, HEADEND_ACTS__PER_HOUR="2")
    many.run("limit", address, "--set", "1", *way, "--serial", serial, HEADEND_ACTS__PER_HOUR="0")
    many.run("relay", address, "status", *way)
    done = many.outcomes()
    assert [code for code, _, _ in done] == [3, 9, 0, 0, 3, 3, 3, 3, 0], done
    assert "--yes is not enough" in done[0][2]
    assert "nothing was changed" in done[1][2]
    for _, _, err in done[4:7]:
        assert "2 such acts were done from here within 1 h" in err
    assert "acts.per_hour is 0" in done[7][2]
    assert "relay connected" in done[8][1]
    assert outcomes(terminal) == [
        (0, "refused: another serial number"),
        *[(70, "asked"), (70, "done")] * 2,
    ]
    # A record that was altered, or taken away, is no way around it.
    whole = record(terminal).read_text()
    again = ("relay", address, "off", *way, "--serial", serial)
    record(terminal).write_text(whole.replace('"limited": "guarded"', '"limited": null'))
    assert "was altered" in terminal.refusal(*again, exit_code=3)
    record(terminal).unlink()
    assert "were taken out" in terminal.refusal(*again, exit_code=3)


def test_a_person_at_a_terminal_sees_what_is_there_and_types_the_serial_number(
    terminal: Terminal, meters: Meters
) -> None:
    row, way = meters.rows[0], keys(meters)
    off = ("relay", row["address"], "off", *way)
    code, screen = at_a_terminal(terminal, *off, answers=[(b"serial number of the meter", "")])
    assert (code, b"nothing was changed" in screen) == (1, True)
    code, screen = at_a_terminal(terminal, *off, answers=[(b"serial number of the meter", meters.rows[1]["serial"])])
    assert (code, b"nothing was changed" in screen) == (9, True)
    code, screen = at_a_terminal(terminal, *off, answers=[(b"serial number of the meter", row["serial"])])
    assert code == 0, screen
    assert b"WARNING: an open relay cuts the customer off" in screen
    assert b"after: supply off, relay disconnected" in screen
    asked = Screen(terminal, "period", row["address"], "--set", "1800", *way)
    asked.shows(r"before: 900 s[\s\S]*WARNING: this erases all rows of block-load[\s\S]*go on\?")
    asked.types(b"n\n")
    assert asked.ends() == 1
    assert "nothing was changed" in asked.seen
    assert [kind for kind, told in outcomes(terminal) if told == "done"] == [70]
