"""`headend watch`: values as they change, in a pipe and on a terminal, over a link that breaks."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import datetime

import pytest
from bad_link import BadLink
from screen import Screen
from terminal import Meters, Terminal


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Terminal, Meters]]:
    terminal = Terminal(tmp_path_factory.mktemp("watch"))
    meters = terminal.meters(1)
    yield terminal, meters
    meters.stop()
    terminal.close()


def options(meters: Meters) -> tuple[str, ...]:
    return ("--keys", str(meters.registry), "--every", "1s")


def test_in_a_pipe_a_line_comes_each_time_and_a_word_that_names_no_value_is_told(
    place: tuple[Terminal, Meters],
) -> None:
    terminal, meters = place
    done = terminal.run("watch", meters.address(), *options(meters), "--values", "voltage,frequency", "--count", "2")
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(" V" in line and " Hz" in line for line in lines)
    assert done.stderr == ""
    refusal = terminal.refusal("watch", meters.address(), *options(meters), "--values", "warp", exit_code=3)
    assert "'warp'" in refusal
    assert "Voltage" in refusal


def test_a_link_that_breaks_while_a_meter_is_watched_is_opened_again_and_ctrl_c_releases_the_meter(
    place: tuple[Terminal, Meters],
) -> None:
    terminal, meters = place
    row = meters.rows[0]
    keys = terminal.folder / "one.toml"
    keys.write_text("\n".join(f'{name} = "{row[name]}"' for name in row if "key" in name or "secret" in name))
    with BadLink(meters.address(), cuts=1, cut_after=2500) as link:
        arguments = ("--type", row["meter_type"], "--keys", keys, "--every", "1s", "--json", "-v")
        program = terminal.start("watch", link.address, *arguments)
        program.says(r"(?s)opening it again.*the meter is there again")
        before = program.out.count("\n")
        program.says(r"(?s)\A" + r"[^\n]+\n" * (before + 2), of="out")
        assert program.stop(signal.SIGINT) == 130
    assert link.cuts == 0
    samples = [json.loads(line) for line in program.out.splitlines()]
    moments = [datetime.fromisoformat(sample["at"]) for sample in samples]
    assert moments == sorted(set(moments))
    assert {sample["units"]["voltage"] for sample in samples if "voltage" in sample["units"]} <= {"V"}
    assert all(sample["values"].keys() == samples[0]["values"].keys() for sample in samples)
    # It serves one at a time: who comes now is served.
    terminal.run("read", meters.address(), "clock", "--json", "--keys", keys)


def test_on_a_terminal_each_value_has_its_course_and_it_ends_by_itself(place: tuple[Terminal, Meters]) -> None:
    terminal, meters = place
    screen = Screen(terminal, "watch", meters.address(), *options(meters), "--for", "2s")
    screen.shows(r"every 1 s")
    assert screen.ends() == 0
    assert any(bar in screen.seen for bar in "▁▂▃▄▅▆▇█")
    assert "Voltage" in screen.seen
