"""`headend read` over links that break, are slow, or are interrupted."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import re
import signal
import threading
import time
import tty
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from bad_link import BadLink
from screen import Screen
from terminal import Meters, Terminal, last_quarter, wait_until

from drivers.session import RELEASE_S

FLEET = """
seed = 28
commissioned_at = {start}
[divisions.Datia]
meters = 1
[archetypes.home]
meter_types = {{ is15959-1ph = 1 }}
[makers]
SMA = 1
[faults]
latency = {{ median_ms = 800, longest_ms = 850 }}
loss = {{ chance = 0.02 }}
reset = {{ chance = 0.02 }}
"""
WEEK = ("--last", "7d")
RLRQ, DISC = "62 28 80 01", "7e a0 07 03 41 53 56 a2 7e"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Terminal, Meters]]:
    terminal = Terminal(tmp_path_factory.mktemp("links"))
    meters = terminal.meters(2, days=8)
    keys = terminal.folder / "meter.toml"
    row = meters.rows[0]
    keys.write_text("\n".join(f'{name} = "{row[name]}"' for name in row if "key" in name or "secret" in name))
    yield terminal, meters
    meters.stop()
    terminal.close()


def truth(meters: Meters) -> dict[datetime, int]:
    """Energy of the first meter, in mWh, by start."""
    serial = meters.rows[0]["serial"]
    with meters.expect.open() as lines:
        return {
            datetime.fromisoformat(row["start"]): int(row["wh_import"])
            for row in csv.DictReader(lines)
            if row["serial"] == serial
        }


def sent_last(terminal: Terminal, trace: str, number: int) -> list[str]:
    """The last that we sent, in hex."""
    lines = (terminal.folder / trace).read_text().splitlines()
    return [line.partition(" > ")[2] for line in lines if " > " in line][-number:]


def check_whole(meters: Meters, printed: str) -> None:
    """Every interval of the week is there once, with its value."""
    rows = json.loads(printed)["intervals"]
    starts = [datetime.fromisoformat(row["start"]) for row in rows]
    assert starts == sorted(set(starts))
    known = truth(meters)
    expected = [start for start in known if starts[0] <= start < meters.end]
    assert [start for start in starts if start < meters.end] == sorted(expected)
    assert len(expected) >= 7 * 96 - 1
    for start, row in zip(starts, rows, strict=True):
        if start < meters.end:
            assert round(row["wh_import"] * 1000) == known[start]


def test_a_link_that_breaks_five_times_in_one_read_costs_no_row_and_none_is_read_again(
    place: tuple[Terminal, Meters],
) -> None:
    terminal, meters = place
    arguments = ("block-load", *WEEK, "--json", "--keys", "meter.toml", "-v")
    with BadLink(meters.address()) as whole:
        check_whole(meters, terminal.run("read", whole.address, *arguments).stdout)
    with BadLink(meters.address(), cuts=5, cut_after=whole.received // 5) as broken:
        done = terminal.run("read", broken.address, *arguments)
    assert broken.cuts == 0
    check_whole(meters, done.stdout)
    assert done.stderr.count("the link broke") == 5
    assert done.stderr.count("what was read stays, the rest is read on") == 5
    went_on = re.findall(r"reading on from (\S+ \S+),", done.stderr)
    assert went_on == sorted(went_on)
    assert len(set(went_on)) >= 2
    # Read anew each time it would be five fifths more.
    assert broken.received < whole.received * 1.9


def test_a_break_while_rows_are_read_by_entry_costs_the_entry_alone(place: tuple[Terminal, Meters]) -> None:
    terminal, meters = place
    arguments = ("billing", "--json", "--keys", "meter.toml", "-v")
    with BadLink(meters.address()) as whole:
        said = json.loads(terminal.run("read", whole.address, *arguments).stdout)
    with BadLink(meters.address(), cuts=1, cut_after=whole.received // 2) as broken:
        done = terminal.run("read", broken.address, *arguments)
    assert broken.cuts == 0
    assert "reading billing" not in done.stderr.partition("the link broke")[2]
    again = json.loads(done.stdout)
    assert [row["billing_date"] for row in again["rows"]][:-1] == [row["billing_date"] for row in said["rows"]][:-1]
    assert again["rows"][:-1] == said["rows"][:-1]


def test_a_link_over_which_nothing_comes_any_more_is_given_up_with_exit_code_4(place: tuple[Terminal, Meters]) -> None:
    terminal, meters = place
    with BadLink(meters.address(), cuts=1, cut_after=10_000, dies=True) as broken:
        done = terminal.run("read", broken.address, "block-load", *WEEK, "--keys", "meter.toml", "-v", exit_code=4)
    assert done.stdout == ""
    assert re.findall(r"attempt (\d) of 5", done.stderr) == ["1", "2", "3", "4", "5"]
    assert "check host, port and firewall" in done.stderr


def test_a_long_read_shows_rows_and_time_left_and_ctrl_c_leaves_the_meter_released(
    place: tuple[Terminal, Meters],
) -> None:
    terminal, meters = place
    with BadLink(meters.address(), octets_per_s=5000) as slow:
        arguments = ("block-load", *WEEK, "--type", "is15959-1ph", "--keys", "meter.toml", "--trace", "ctrl-c.trace")
        screen = Screen(terminal, "read", slow.address, *arguments)
        screen.shows(r"block-load.*[1-9]\d*/67\d.*rows, left.*\d:\d\d:\d\d")
        before = slow.sent
        screen.types(b"\x03")
        assert screen.ends() == 130
        assert slow.sent > before
        assert slow.connections == 2
    assert f" {RLRQ}" in sent_last(terminal, "ctrl-c.trace", 1)[0]
    assert "intervals of 15 min" not in screen.seen
    # It serves one at a time: who comes now is served.
    done = terminal.run("read", meters.address(), "clock", "--json", "--keys", "meter.toml")
    assert abs(json.loads(done.stdout)["rows"][0]["drift"]) < 60


def test_a_read_by_hdlc_whose_terminal_is_closed_releases_the_meter_and_hangs_up(
    place: tuple[Terminal, Meters],
) -> None:
    terminal, meters = place
    with BadLink(meters.address(), octets_per_s=3000) as slow:
        arguments = (
            "block-load",
            *WEEK,
            "--type",
            "is15959-1ph",
            "--keys",
            "meter.toml",
            "-v",
            "--trace",
            "closed.trace",
        )
        reading = terminal.start("read", f"hdlc+{slow.address}", *arguments)
        reading.says("reading block-load")
        asked = slow.sent
        wait_until(lambda: slow.sent > asked, "a request for rows")
        assert reading.stop(signal.SIGHUP) == 130
    release, disc = sent_last(terminal, "closed.trace", 2)
    assert f" {RLRQ}" in release
    assert disc == DISC
    terminal.run("read", f"hdlc+{meters.address()}", "clock", "--keys", "meter.toml")


def test_a_second_ctrl_c_ends_at_once_where_the_meter_no_longer_answers(place: tuple[Terminal, Meters]) -> None:
    terminal, meters = place
    with BadLink(meters.address()) as link:
        watching = terminal.start("watch", link.address, "--keys", "meter.toml", "--json")
        watching.says(r"\{", of="out")
        link.silent.set()
        sent = link.sent
        watching.process.send_signal(signal.SIGINT)
        wait_until(lambda: link.sent > sent, "the release")
        began = time.monotonic()
        assert watching.stop(signal.SIGINT) == 130
        assert time.monotonic() - began < RELEASE_S / 2


def test_a_week_is_read_over_a_link_with_a_delay_of_800_ms_that_loses_and_cuts(terminal: Terminal) -> None:
    end = last_quarter()
    start = end - timedelta(days=8)
    (terminal.folder / "fleet.toml").write_text(FLEET.format(start=start.isoformat()))
    files = terminal.folder / "meters.csv", terminal.folder / "expect.csv"
    program = terminal.start("simulate", "--json", "--fleet", "fleet.toml", "--port", "0", "--end", end.isoformat(),
                             "--registry", files[0], "--expect", files[1])  # fmt: skip
    port = json.loads(program.says(r'\{"meters".*\}', of="out")[0])["port"]
    meters = Meters(program, port, *files, start, end)
    address = f"{meters.address()}?timeout=3"
    done = terminal.run("read", address, "block-load", *WEEK, "--keys", meters.registry, "--json", "-v")
    check_whole(meters, done.stdout)
    assert done.stderr.count("the link broke") >= 2
    assert "no answer within 3 s" in done.stderr
    at_once = [int(rows) for rows in re.findall(r"(\d+) rows at once", done.stderr)]
    assert at_once[0] > 24
    assert any(later < before for before, later in pairwise(at_once))
    meters.stop()


def test_a_link_that_loses_long_answers_is_asked_for_shorter_ones(place: tuple[Terminal, Meters]) -> None:
    terminal, meters = place
    with BadLink(meters.address(), longest=540) as link:
        arguments = ("block-load", "--last", "1d", "--type", "is15959-1ph", "--keys", "meter.toml", "--json", "-v")
        done = terminal.run("read", f"{link.address}?timeout=1", *arguments)
    assert len(json.loads(done.stdout)["intervals"]) >= 95
    assert done.stderr.count("the link broke") == 2, "once may be chance"
    assert done.stderr.count("with answers of at most 512 octets") == 1


@pytest.mark.parametrize("options", ["", "?information=128&window=1"])
def test_every_kind_is_read_by_hdlc_too(place: tuple[Terminal, Meters], options: str) -> None:
    terminal, meters = place
    address = f"hdlc+{meters.address()}{options}"
    said = json.loads(terminal.run("read", address, "all", "--last", "1d", "--json", "--keys", "meter.toml").stdout)
    assert said["missing"] == []
    assert said["serial"] == meters.rows[0]["serial"]
    known = truth(meters)
    for row in said["block-load"]["intervals"]:
        start = datetime.fromisoformat(row["start"])
        if start < meters.end:
            assert round(row["wh_import"] * 1000) == known[start]


def test_a_meter_is_read_through_a_probe_that_signs_on_by_mode_e(terminal: Terminal) -> None:
    ours, theirs = pty.openpty()
    served, probe = pty.openpty()
    for end in (ours, theirs, served, probe):
        tty.setraw(end)
    threading.Thread(target=joined, args=(ours, served), daemon=True).start()
    threading.Thread(target=joined, args=(served, ours), daemon=True).start()
    meters = terminal.meters(1, "--serial", os.ttyname(theirs), "--mode-e")
    row = meters.rows[0]
    keys = terminal.folder / "probe.toml"
    keys.write_text("\n".join(f'{name} = "{row[name]}"' for name in row if "key" in name or "secret" in name))
    address = f"serial://{os.ttyname(probe)}?mode=e"
    said = json.loads(terminal.run("read", address, "nameplate", "--json", "--keys", keys).stdout)
    assert said["rows"][0]["serial_number"] == row["serial"]
    meters.stop()


def joined(one: int, other: int) -> None:
    """Octets of one pseudo-terminal to another, until either is gone."""
    with contextlib.suppress(OSError):
        while octets := os.read(one, 1024):
            os.write(other, octets)
