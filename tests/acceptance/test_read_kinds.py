"""`headend read` of every kind, in a pipe and on a terminal, as text, data, pictures and reports."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from screen import Screen
from terminal import Meters, Terminal

INDIA = ZoneInfo("Asia/Kolkata")
KINDS = ("now", "block-load", "daily", "billing", "events", "nameplate", "clock", "status")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Terminal, Meters]]:
    """A folder, and two meters that were commissioned forty days ago."""
    terminal = Terminal(tmp_path_factory.mktemp("kinds"))
    meters = terminal.meters(2, days=40)
    yield terminal, meters
    meters.stop()
    terminal.close()


@pytest.fixture(scope="module")
def everything(place: tuple[Terminal, Meters]) -> dict[str, object]:
    """All that the first meter says."""
    terminal, meters = place
    printed = terminal.run("read", meters.address(), "all", "--last", "2d", "--keys", meters.registry, "--json")
    found: dict[str, object] = json.loads(printed.stdout)
    return found


def read(place: tuple[Terminal, Meters], *arguments: str | Path, **environment: str) -> str:
    terminal, meters = place
    return terminal.run("read", meters.address(), *arguments, "--keys", meters.registry, **environment).stdout


def test_all_has_every_kind_of_the_meter_that_was_named(
    place: tuple[Terminal, Meters], everything: dict[str, dict[str, list[dict[str, object]]]]
) -> None:
    _, meters = place
    assert everything["serial"] == meters.rows[0]["serial"]
    assert everything["meter_type"] == "is15959-1ph", "as the meter list says"
    assert everything["missing"] == []
    assert set(KINDS) <= everything.keys()
    assert everything["nameplate"]["rows"][0]["serial_number"] == meters.rows[0]["serial"]
    assert everything["status"]["rows"][0]["relay"] == "connected"
    clock = everything["clock"]["rows"][0]
    assert isinstance(clock["drift"], float)
    assert abs(clock["drift"]) < 60
    assert 150 < len(everything["block-load"]["intervals"]) <= 193
    assert everything["now"]["units"]["voltage"] == "V"  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_a_table_in_a_pipe_whole_and_without_colour(place: tuple[Terminal, Meters], kind: str) -> None:
    text = read(place, kind)
    assert text.startswith(f"{place[1].address()} · {place[1].rows[0]['serial']} · is15959-1ph · times of Asia/Kolkata")
    assert "…" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_json_and_csv_of_the_same_rows(place: tuple[Terminal, Meters], kind: str) -> None:
    document = json.loads(read(place, kind, "--json"))
    rows = document.get("rows", document.get("intervals"))
    lines = list(csv.DictReader(io.StringIO(read(place, kind, "--csv"))))
    if kind != "events":
        assert rows
        assert lines
    if rows and lines:
        assert set(lines[0]) - {"interval_s"} == set(rows[0])
    assert abs(len(lines) - len(rows)) <= 1, "an interval may end in between"


def test_days_and_spans_are_those_of_the_meter(place: tuple[Terminal, Meters]) -> None:
    rows = json.loads(read(place, "block-load", "--from", "yesterday", "--to", "today", "--json"))["intervals"]
    assert len(rows) == 96
    assert rows[0]["start"].endswith("T00:00:00+05:30")
    rows = json.loads(read(place, "daily", "--last", "7d", "--json"))["intervals"]
    assert 6 <= len(rows) <= 7
    assert all(row["start"].endswith("T00:00:00+05:30") for row in rows)
    energy = [row["wh_import_register"] for row in rows]
    assert energy == sorted(energy)


def test_one_event_log_may_be_named_and_another_kind_has_none(place: tuple[Terminal, Meters]) -> None:
    terminal, meters = place
    told = terminal.refusal("read", meters.address(), "events", "weather", "--keys", meters.registry, exit_code=3)
    assert "no event log 'weather'" in told
    assert "voltage, current, power" in told
    done = terminal.run("read", meters.address(), "daily", "power", "--keys", meters.registry, exit_code=2)
    assert "only events have logs" in done.stderr


def test_out_writes_the_form_that_the_name_says_and_leaves_stdout_empty(place: tuple[Terminal, Meters]) -> None:
    terminal, meters = place
    for name in ("day.json", "day.csv", "day.parquet", "day.txt"):
        done = terminal.run(
            "read", meters.address(), "block-load", "--from", "yesterday", "--to", "today", "--keys", meters.registry,
            "--out", name,
        )  # fmt: skip
        assert done.stdout == ""
        assert done.stderr == f"headend: written: {name}\n"
    assert len(json.loads((terminal.folder / "day.json").read_text())["intervals"]) == 96
    assert len((terminal.folder / "day.csv").read_text().splitlines()) == 97
    table = pq.read_table(terminal.folder / "day.parquet")
    assert table.num_rows == 96
    assert "96 intervals of 15 min" in (terminal.folder / "day.txt").read_text()
    assert list(terminal.folder.glob(".day*")) == []
    told = terminal.refusal(
        "read", meters.address(), "clock", "--keys", meters.registry, "--out", "no/such/folder.txt", exit_code=3
    )
    assert "can't be written" in told


def test_what_does_not_go_together_is_refused_before_the_meter_is_asked(place: tuple[Terminal, Meters]) -> None:
    terminal, _ = place
    for options, words in (
        (("all", "--csv"), "csv holds one table"),
        (("all", "--parquet"), "parquet holds one table"),
        (("daily", "--csv", "--json"), "choose one of"),
        (("daily", "--plot", "--json"), "take one of them"),
    ):
        done = terminal.run("read", "tcp://127.0.0.1:9", *options, exit_code=2)
        assert words in re.sub(r"\s+", " ", done.stderr)


def test_a_report_holds_identity_curve_billing_and_events_in_one_file(place: tuple[Terminal, Meters]) -> None:
    terminal, meters = place
    read(place, "all", "--last", "7d", "--report", "meter.html")
    page = (terminal.folder / "meter.html").read_text()
    assert f"<h1>Meter {meters.rows[0]['serial']}</h1>" in page
    for heading in ("Nameplate", "Clock", "Status", "Block load", "Daily load", "Billing periods", "Events"):
        assert f"<h2>{heading}" in page, heading
    assert page.count("<svg") >= 3
    assert not re.search(r"<script|<link|<img|https?://|url\(", page)


def test_a_terminal_has_colour_and_pictures_of_its_width(place: tuple[Terminal, Meters]) -> None:
    terminal, meters = place
    screen = Screen(terminal, "read", meters.address(), "block-load", "--keys", meters.registry)
    assert screen.ends() == 0
    assert "\x1b[" in screen.seen
    assert "intervals of 15 min" in screen.seen
    screen = Screen(terminal, "read", meters.address(), "daily", "--last", "9d", "--plot", "--keys", meters.registry)
    assert screen.ends() == 0
    assert "Daily load: wh import since the row before, Wh" in screen.seen
    assert "█" in screen.seen
    picture = read(place, "block-load", "--plot")
    assert re.search("[⠁-⣿]", picture)
    assert "\x1b" not in picture


FLEET = """
seed = 4
commissioned_at = {start}
[divisions.Datia]
meters = 1
[archetypes.office]
meter_types = {{ is15959-3ph = 1 }}
[makers]
SMA = 1
[tampers]
magnet = {{ per_year = 200, median_minutes = 600, longest_hours = 30 }}
[[outages.declared]]
division = "Datia"
start = {outage}
end = {restored}
"""


@pytest.fixture(scope="module")
def tampered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Terminal, str]]:
    """A three-phase meter of ten days, with magnets at it, and without supply yesterday from ten to twelve."""
    terminal = Terminal(tmp_path_factory.mktemp("tampered"))
    yesterday = datetime.now(INDIA).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    fleet = terminal.folder / "fleet.toml"
    fleet.write_text(
        FLEET.format(
            start=(yesterday - timedelta(days=10)).isoformat(),
            outage=yesterday.replace(hour=10).isoformat(),
            restored=yesterday.replace(hour=12).isoformat(),
        )
    )
    program = terminal.start("simulate", "--fleet", fleet, "--port", "0", "--json", "--registry", "meters.csv")
    program.says(r'\{"meters".*\}', of="out")
    with (terminal.folder / "meters.csv").open() as lines:
        (row,) = csv.DictReader(lines)
    yield terminal, row["address"]
    terminal.close()


def test_the_type_is_found_and_events_are_in_words_and_order_in_both_languages(tampered: tuple[Terminal, str]) -> None:
    terminal, address = tampered
    arguments = ("read", address, "events", "--json", "--keys", "meters.csv")
    said = json.loads(terminal.run(*arguments).stdout)
    assert said["meter_type"] == "is15959-3ph"
    rows = said["rows"]
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    words = {(row["log"], row["code"]): row["event"] for row in rows}
    assert words["other", 201] == "Magnetic influence"
    assert words["power", 101].startswith("Power fail")
    assert {row["log"] for row in json.loads(terminal.run(*arguments, "--last", "2d").stdout)["rows"]} >= {"power"}
    assert json.loads(terminal.run(*arguments, "--lang", "hi").stdout)["rows"] == rows, "data is the same everywhere"
    hindi = terminal.run("read", address, "events", "--keys", "meters.csv", "--lang", "hi").stdout
    assert re.search(r"^ घटना .*चुंबक", hindi, re.MULTILINE)
    assert "Magnetic" not in hindi
    one = json.loads(terminal.run("read", address, "events", "power", "--json", "--keys", "meters.csv").stdout)["rows"]
    assert [(row["time"], row["event"]) for row in one] == [
        (row["time"], row["event"]) for row in rows if row["log"] == "power"
    ]


def test_an_outage_stands_in_the_table_as_zeros_with_a_mark(tampered: tuple[Terminal, str]) -> None:
    terminal, address = tampered
    arguments = ("read", address, "block-load", "--from", "yesterday", "--to", "today", "--keys", "meters.csv")
    lines = terminal.run(*arguments).stdout.splitlines()
    marked = [line.split()[1] for line in lines if line.endswith("zero filled")]
    assert marked == [f"{hour}:{minute:02}" for hour in (10, 11) for minute in (0, 15, 30, 45)]


def test_each_step_is_told_in_plain_words_on_stderr(place: tuple[Terminal, Meters]) -> None:
    terminal, meters = place
    row, keys = meters.rows[0], terminal.folder / "meter.toml"
    keys.write_text(
        "\n".join(f'{name} = "{row[name]}"' for name in ("encryption_key", "authentication_key", "lls_secret"))
    )
    done = terminal.run("read", meters.address(), "daily", "-v", "--json", "--keys", keys)
    assert json.loads(done.stdout)["intervals"]
    lines = done.stderr.splitlines()
    assert lines[0] == f"headend: calling {meters.address()} as client 32, meter reader"
    assert any("its columns are 100% those of type is15959-1ph" in line for line in lines)
    assert lines[-1] == "headend: all is read; the meter is released"


def test_an_error_is_explained_to_a_person_and_one_line_in_a_pipe(terminal: Terminal) -> None:
    arguments = ("read", "tcp://127.0.0.1:9", "clock", "--type", "is15959-1ph")
    keys = {"HEADEND_ENCRYPTION_KEY": "00" * 16, "HEADEND_AUTHENTICATION_KEY": "11" * 16, "HEADEND_SECRET": "x"}
    assert "check host, port and firewall" in terminal.refusal(*arguments, exit_code=4, **keys)
    screen = Screen(terminal, *arguments, **keys, LANG="en_IN.UTF-8", LC_ALL="")
    assert screen.ends() == 4
    assert "Likely causes, the likeliest first:" in screen.seen
    assert "1. The port is another one." in screen.seen
    screen = Screen(terminal, *arguments, **keys, LANG="hi_IN.UTF-8", LC_ALL="")
    assert screen.ends() == 4
    assert "यह करके देखें:" in screen.seen


def test_the_clock_that_is_read_is_now(everything: dict[str, dict[str, list[dict[str, str]]]]) -> None:
    time = datetime.fromisoformat(everything["clock"]["rows"][0]["time"])
    assert time.utcoffset() == timedelta(hours=5, minutes=30)
    assert abs(time - datetime.now(time.tzinfo)) < timedelta(minutes=10)
