"""`headend check`, as a field engineer runs it at one meter."""

from __future__ import annotations

import json

from screen import Screen
from terminal import Meters, Terminal


def test_a_meter_is_checked_and_its_type_written_and_read_by(terminal: Terminal, fleet: Meters) -> None:
    address, keys, file = fleet.address(4), ("--keys", fleet.registry), terminal.folder / "new-meter.toml"
    done = terminal.run("check", address, *keys, "--save-type", file, "--json")
    said = json.loads(done.stdout)
    assert done.stderr == ""
    assert said["verdict"] == "good"
    assert said["serial"] == fleet.rows[4]["serial"]
    assert said["system_title"] == fleet.rows[4]["system_title"]
    codes = [one["code"] for one in said["findings"]]
    assert {"reached", "let_in", "keys_right", "clock_right", "no_gaps", "type_saved"} <= set(codes)
    assert "associations that let us in: public (16)" in file.read_text().lower()
    assert "new-meter: " in terminal.run("types", file).stdout
    read = terminal.run("read", address, "block-load", "--last", "6h", "--type", file, *keys, "--json")
    assert json.loads(read.stdout)["meter_type"] == "new-meter"
    assert len(json.loads(read.stdout)["intervals"]) >= 23


def test_what_is_to_be_mended_stands_first_with_its_remedy_and_ends_with_code_1(
    terminal: Terminal, fleet: Meters
) -> None:
    screen = Screen(terminal, "check", fleet.address(5), "--keys", fleet.registry, "--push-to", "10.0.0.5:4059")
    assert screen.ends() == 1
    seen = screen.seen
    assert "asking to be let in as meter reader (32)" in seen, "progress is told while it works"
    assert seen.index("Verdict") < seen.index("go nowhere") < seen.index("→ Set it") < seen.index("The meter answers")
    piped = terminal.run("check", "tcp://127.0.0.1:1", "--lang", "hi", exit_code=1)
    assert "निष्कर्ष: ख़राब" in piped.stdout
    assert "\x1b[" not in piped.stdout
    assert piped.stderr == ""
