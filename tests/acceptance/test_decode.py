"""`headend decode`, as someone who caught octets on a line runs it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packets import conversation, ethernet, pcap, pcapng
from terminal import HEADEND, LIMIT_S, Terminal

from drivers.links.transcript import read_transcript

VECTORS = Path(__file__).parents[1] / "unit" / "vectors"
HAN: list[dict[str, Any]] = json.loads((VECTORS / "han_push_samples.json").read_text(encoding="ascii"))
MBUS: list[dict[str, Any]] = json.loads((VECTORS / "mbus_pushes.json").read_text(encoding="ascii"))
AIDON = HAN[0]["hex"]
BITS_AND_STRINGS = "c401c100 0204 040a8000 090c07ea011f060f0f00ff800000 0903616263 0900"
TWO_REQUESTS = "0001001000010007c002c100000007 00010010000100 05c002"
"""The second one cut off."""


def lines(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


@dataclass(frozen=True)
class Recorded:
    """One meter's keys in files, and sessions with it as `--trace` recorded them."""

    row: dict[str, str]
    registry: Path
    keys: tuple[str | Path, ...]
    traces: dict[str, Path]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    terminal = Terminal(tmp_path_factory.mktemp("recorded"))
    try:
        meters = terminal.meters(1, days=2)
        row, keys = meters.rows[0], ("--keys", meters.registry)
        traces = {name: terminal.folder / f"{name}.txt" for name in ("glo", "ded", "general-ded")}
        terminal.run("read", row["address"], "block-load", "--from", "today", *keys, "--trace", traces["glo"])
        for name in ("ded", "general-ded"):
            association = ("--type", "is15959-1ph", "--client", "32", "--ciphering", name, *keys)
            terminal.run("get", row["address"], "8", "0.0.1.0.0.255", "2", *association, "--trace", traces[name])
        meters.stop()
        options: list[str | Path] = []
        for option, name in (("--key", "encryption_key"), ("--auth-key", "authentication_key")):
            file = terminal.folder / f"{name}.hex"
            file.write_text(f"{row[name]}\n")
            options += [option, file]
        yield Recorded(row, meters.registry, tuple(options), traces)
    finally:
        terminal.close()


# --- what goes in ---------------------------------------------------------------------------------------------


def test_hex_a_file_and_stdin_are_the_same(terminal: Terminal) -> None:
    octets, text = terminal.folder / "push.bin", terminal.folder / "push.txt"
    octets.write_bytes(bytes.fromhex(AIDON))
    text.write_text("\n".join(AIDON[at : at + 32].upper() for at in range(0, len(AIDON), 32)))
    colons = ":".join(AIDON[at : at + 2] for at in range(0, len(AIDON), 2))
    printed = {
        terminal.run("decode", colons).stdout,
        terminal.run("decode", octets).stdout,
        terminal.run("decode", text).stdout,
        terminal.run("decode", given=f"0x{AIDON}").stdout,
    }
    (tree,) = printed
    assert "1.0.32.7.0.255 Voltage L1: 227.4 V" in tree
    assert "1.0.1.7.0.255 Active power import: 280 W" in tree
    assert "\x1b[" not in tree
    assert "…" not in tree


def test_json_is_a_line_a_message_in_the_promised_form(terminal: Terminal) -> None:
    pushes = "\n".join(sample["apdu"] for sample in HAN)
    shown = lines(terminal.run("decode", "-", "--json", given=pushes).stdout)
    assert [set(one) for one in shown] == [{"apdu", "frames", "security", "body"}] * 3
    assert [one["apdu"] for one in shown] == ["data-notification"] * 3
    assert shown[1]["body"] == {"type": "structure", "value": [{"type": "double-long-unsigned", "value": 5852}]}
    assert shown[0]["body"]["value"][3]["value"] == [
        {"type": "octet-string", "value": "0100010700ff"},
        {"type": "double-long-unsigned", "value": 280},
        {"type": "structure", "value": [{"type": "integer", "value": 0}, {"type": "enum", "value": 27}]},
    ]
    bits = lines(terminal.run("decode", "--json", BITS_AND_STRINGS).stdout)
    assert bits[0]["body"]["value"] == [
        {"type": "bit-string", "value": "1000000000"},
        {"type": "octet-string", "value": "07ea011f060f0f00ff800000", "datetime": "2026-01-31T15:15:00"},
        {"type": "octet-string", "value": "616263", "text": "abc"},
        {"type": "octet-string", "value": ""},
    ]


def test_colour_is_for_a_terminal_alone(terminal: Terminal) -> None:
    main, other = os.openpty()
    with subprocess.Popen(
        [HEADEND, "decode", AIDON], env=terminal.environment | {"TERM": "xterm-256color"}, stdin=other, stdout=other
    ) as process:
        os.close(other)
        shown = b""
        with open(main, "rb", buffering=0) as screen:
            try:
                while more := screen.read(4096):
                    shown += more
            except OSError:
                pass  # the other end is gone: how a pseudo-terminal ends
        assert process.wait(LIMIT_S) == 0
    assert b"\x1b[1m" in shown
    assert b"227.4 V" in shown


# --- keys -----------------------------------------------------------------------------------------------------


def test_a_key_comes_as_hex_file_or_from_the_environment(terminal: Terminal) -> None:
    sample = MBUS[1]
    file, toml = terminal.folder / "key.hex", terminal.folder / "meter.toml"
    file.write_text(f"{sample['key']}\n")
    toml.write_text(f'encryption_key = "{sample["key"]}"\n')
    runs = [
        terminal.run("decode", sample["hex"], "--json", "--key", sample["key"]),
        terminal.run("decode", sample["hex"], "--json", "--key", file),
        terminal.run("decode", sample["hex"], "--json", "--keys", toml),
        terminal.run("decode", sample["hex"], "--json", HEADEND_ENCRYPTION_KEY=sample["key"]),
        terminal.run("decode", sample["hex"], "--json", "--key", "env:MY_KEY", MY_KEY=sample["key"]),
    ]
    assert len({run.stdout for run in runs}) == 1
    assert ["can be seen by others" in run.stderr for run in runs] == [True, False, False, False, False]
    (shown,) = lines(runs[0].stdout)
    assert shown["security"] == {
        "control": sample["control"],
        "system_title": sample["system_title"],
        "counter": sample["counter"],
        "verified": False,
    }
    assert len(shown["frames"]) == 2
    assert shown["body"]["type"] == "structure"
    for run in runs:
        assert sample["key"].lower() not in (run.stdout + run.stderr).lower()


def test_a_wrong_key_is_told_and_ends_with_6(terminal: Terminal) -> None:
    wrong = terminal.folder / "wrong.hex"
    wrong.write_text("00" * 16)
    done = terminal.run("decode", MBUS[0]["hex"], "--json", "--key", wrong, exit_code=6)
    (shown,) = lines(done.stdout)
    assert (shown["apdu"], shown["body"]) == ("general-glo-ciphering", None)
    assert "wrong key, or its sender is not 4B464D6750000009" in done.stderr
    assert "closed: wrong key" in terminal.run("decode", MBUS[0]["hex"], "--key", wrong, exit_code=6).stdout


def test_a_key_that_is_none_is_said_and_not_shown(terminal: Terminal) -> None:
    for key in ("0011", "zz" * 16):
        done = terminal.run("decode", AIDON, "--key", key, exit_code=3)
        assert "encryption key: " in done.stderr
        assert key not in done.stderr
    told = terminal.refusal("decode", AIDON, "--keys", "none.toml", exit_code=3)
    assert "none.toml can't be read" in told
    assert "is not a system title" in terminal.refusal("decode", AIDON, "--system-title", "12", exit_code=3)


# --- whole sessions -------------------------------------------------------------------------------------------


def test_a_recorded_session_teaches_all_that_opens_it(terminal: Terminal, recorded: Recorded) -> None:
    trace, row = recorded.traces["glo"], recorded.row
    done = terminal.run("decode", trace, "--json", *recorded.keys)
    assert done.stderr == ""
    shown = lines(done.stdout)
    ciphered = [one for one in shown if one["security"] is not None]
    assert [one["apdu"] for one in ciphered[:4]] == ["aarq", "aare", "get-request-normal", "get-response-normal"]
    assert all(one["security"]["verified"] for one in ciphered)
    titles = {one["security"]["system_title"] for one in ciphered}
    assert row["system_title"].lower() in titles
    assert len(titles) == 2, "the client's and the meter's"
    buffer = [one["body"] for one in shown if one["body"] and one["body"]["type"] == "array"][-1]
    assert all(len(entry["value"]) == 9 and "datetime" in entry["value"][0] for entry in buffer["value"])
    tree = terminal.run("decode", trace, *recorded.keys).stdout
    assert "answers 1.0.99.1.0.255 Load profile 1 (block load) · Profile generic · buffer" in tree
    assert "1.0.12.27.0.255 Voltage average in the recording interval · value" in tree
    assert "password: 8 octets, not shown" in tree
    for name in ("encryption_key", "authentication_key", "lls_secret", "hls_secret"):
        assert row[name].lower() not in (tree + done.stdout).lower()


def test_without_keys_a_session_shows_its_layers_and_says_what_is_missing(
    terminal: Terminal, recorded: Recorded
) -> None:
    done = terminal.run("decode", recorded.traces["glo"], "--json")
    names = [one["apdu"] for one in lines(done.stdout)]
    assert {"aarq", "aare", "glo-get-request", "glo-get-response"} <= set(names)
    assert done.stderr.endswith("times: no key is given (--key)\n")


def test_a_meter_list_has_the_keys_by_system_title(terminal: Terminal, recorded: Recorded) -> None:
    trace, keys = recorded.traces["glo"], ("--keys", recorded.registry)
    done = terminal.run("decode", trace, "--json", *keys, "--system-title", recorded.row["system_title"])
    assert all(one["security"]["verified"] for one in lines(done.stdout) if one["security"])
    assert "no meter with the system title" in terminal.refusal("decode", trace, *keys, exit_code=3)


@pytest.mark.parametrize("ciphering", ["ded", "general-ded"])
def test_a_session_under_a_dedicated_key_opens_by_its_aarq(
    terminal: Terminal, recorded: Recorded, ciphering: str
) -> None:
    shown = lines(terminal.run("decode", recorded.traces[ciphering], "--json", *recorded.keys).stdout)
    (answer,) = [one for one in shown if one["apdu"] == "get-response-normal" and one["security"]]
    assert answer["security"]["verified"]
    assert answer["body"]["type"] == "octet-string"
    assert "datetime" in answer["body"]
    assert "dedicated key" in terminal.run("decode", recorded.traces[ciphering], "--json").stderr


@pytest.mark.parametrize("form", [pcap, pcapng])
def test_a_session_caught_on_the_network_is_put_in_order(terminal: Terminal, recorded: Recorded, form: Any) -> None:
    """The octets of a real session but for its AARQ, cut to small segments that come twice."""
    entries = read_transcript(recorded.traces["glo"].read_text())[-1].entries[1:]
    said = [(entry.direction == ">", bytes(octet or 0 for octet in entry.octets)) for entry in entries]
    packets = [ethernet(packet) for packet in conversation(said, size=100)]
    capture = terminal.folder / "capture.pcap"
    capture.write_bytes(form([*packets[:2], *(packet for one in packets[2:] for packet in (one, one))]))
    title = ("--system-title", recorded.row["system_title"])
    done = terminal.run("decode", capture, "--json", *recorded.keys, *title, exit_code=6)
    shown = lines(done.stdout)
    assert shown[0]["apdu"] == "aare"
    answers = [one for one in shown if one["apdu"].startswith("get-response")]
    assert answers
    assert all(one["security"]["verified"] for one in answers)
    assert "wrong key, or its sender is not" in done.stderr, "no AARQ tells the client's title"
    tree = terminal.run("decode", capture).stdout
    assert "2026-01-31 06:15:02" in tree
    assert "tcp 127.0.0.2:4059 > 127.0.0.1:50000" in tree


# --- what is not understood -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capture", "told"),
    [
        ("deadbeef", "not DLMS: understanding stopped at octet 0: an APDU that is not known here, it begins dead"),
        ("hello", "not DLMS: understanding stopped at octet 0: 'h' is no hex digit"),
        ("0f4", "not DLMS: understanding stopped at octet 1: an odd number of hex digits"),
        (AIDON[:100], "not DLMS: understanding stopped at octet "),
        (
            "000100100001000dc001",
            "not DLMS: understanding stopped at octet 10: a wrapper frame of an APDU of 13 octets",
        ),
    ],
)
def test_garbage_is_told_with_its_octet_and_ends_with_5(terminal: Terminal, capture: str, told: str) -> None:
    assert terminal.refusal("decode", capture, exit_code=5).startswith(told)


def test_nothing_and_files_of_something_else_are_told(terminal: Terminal) -> None:
    assert "nothing is there" in terminal.refusal("decode", "-", "--json", exit_code=5)
    file = terminal.folder / "random"
    file.write_bytes(b"\xff" + bytes(range(256)))
    assert terminal.refusal("decode", file, exit_code=5).startswith("not DLMS: understanding stopped at octet 0")
    file.write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(20))
    assert "no TCP or UDP is in it" in terminal.refusal("decode", file, exit_code=5)
    assert "there is no file" in terminal.refusal("decode", "missing.pcap", exit_code=3)


def test_what_is_whole_is_printed_before_what_is_cut_is_told(terminal: Terminal) -> None:
    done = terminal.run("decode", TWO_REQUESTS, "--json", exit_code=5)
    assert [one["apdu"] for one in lines(done.stdout)] == ["get-request-next"]
    assert "understanding stopped at octet 25: a wrapper frame of an APDU of 5 octets ends after 2" in done.stderr
