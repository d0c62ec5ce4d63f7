"""`headend listen`: pushes of simulated meters, of strangers, and garbage, in a pipe and on a terminal."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lines import METER_TYPE
from screen import Screen
from terminal import Program, Terminal

from drivers.dlms.wrapper import wrap
from profiles.loader import load_meter_type
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.push import in_blocks, push, push_kind
from simulators.push_sender import send_push
from simulators.state import HDLC, TCP, UDP, Destination

PUSH_SAP = 64
TYPES = Path(__file__).parents[2] / "profiles" / "types"


@pytest.fixture
def meters() -> list[SimulatedMeter]:
    fleet = Fleet(5, 3, {"Bhopal city": 1}, datetime(2026, 1, 1, tzinfo=UTC))
    made = simulated_meters(fleet, METER_TYPE, lambda: datetime(2026, 1, 3, 6, 7, 30, tzinfo=UTC), SimulatedMeter)
    return list(made.values())


@pytest.fixture
def keys(terminal: Terminal, meters: list[SimulatedMeter]) -> Path:
    """A list of all but the last."""
    file = terminal.folder / "meters.csv"
    with file.open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["name", "address", "meter_type", "system_title", "encryption_key", "authentication_key"])
        for number, meter in enumerate(meters[:2], 1):
            key = meter.keys
            address = f"tcp://{meter.identity.host}:4059"
            title = meter.identity.system_title.hex().upper()
            rows.writerow([f"pole {number}", address, METER_TYPE.name, title,
                           key.encryption.octets.hex(), key.authentication.octets.hex()])  # fmt: skip
    return file


def said(program: Program, number: int) -> list[dict[str, Any]]:
    """So many lines, once they are there."""
    program.says(r"(?s)\A" + r"[^\n]+\n" * number, of="out")
    return [json.loads(line) for line in program.out.splitlines()]


def sent(meter: SimulatedMeter, apdus: list[bytes], kind: int, port: int, *, answered: bool = False) -> bytes | None:
    place = Destination(kind, f"127.0.0.1:{port}".encode())
    return asyncio.run(send_push(meter, apdus, place, PUSH_SAP, answered=answered))


def test_pushes_are_shown_decoded_whatever_they_come_by_and_what_is_unsound_is_shown_with_the_reason(
    terminal: Terminal, meters: list[SimulatedMeter], keys: Path
) -> None:
    known, other, stranger = meters
    trace = terminal.folder / "pushes.trace"
    program = terminal.start("listen", "0", "--udp", "--host", "127.0.0.1", "--keys", keys, "--json", "--trace", trace)
    port = int(program.says(r"TCP port (\d+), UDP port (\d+)")[1])

    apdu = push(known, "alert", raised=[81])
    sent(known, [apdu], TCP, port)
    alert = said(program, 1)[0]
    assert (alert["meter"], alert["kind"], alert["confirmed"]) == ("pole 1", "alert", False)
    assert (alert["authenticated"], alert["doubts"]) == (True, [])
    assert alert["device_id"] == known.identity.device_id
    assert alert["stamp"].endswith("+05:30")
    assert alert["values"][0]["name"] == "event status word"
    assert alert["values"][0]["value"]

    sent(other, [push(other, "block_load")], UDP, port)
    block = said(program, 2)[1]
    assert block["doubts"][0].startswith("unscaled")
    units = {value["name"]: (value["value"], value["unit"]) for value in block["values"]}
    assert (block["meter"], block["kind"]) == ("pole 2", "block_load")
    assert {"V", "Wh", "A"} <= {unit for _, unit in units.values()}

    # HDLC, in clear: shown, though the head-end would refuse it.
    sent(known, [push(known, "alert", push_kind(METER_TYPE, "clear"))], HDLC, port)
    clear = said(program, 3)[2]
    assert (clear["kind"], clear["cover"], clear["authenticated"]) == ("alert", "in clear", False)
    assert "the head-end refuses it" in clear["doubts"][0]

    sent(other, in_blocks(push(other, "block_load"), 60), TCP, port)
    assert said(program, 4)[3]["kind"] == "block_load"

    sent(stranger, [push(stranger, "alert")], TCP, port)
    unknown = said(program, 5)[4]
    assert (unknown["meter"], unknown["kind"]) == ("", "not understood")
    assert unknown["system_title"] == stranger.identity.system_title.hex().upper()
    assert "no key is known" in unknown["doubts"][0]
    assert unknown["raw"]

    whole = bytearray(push(known, "alert"))
    whole[-1] ^= 1
    sent(known, [bytes(whole)], TCP, port)
    assert "tag" in said(program, 6)[5]["doubts"][0]

    with socket.create_connection(("127.0.0.1", port)) as garbage:
        garbage.sendall(wrap(1, 64, bytes.fromhex("c401c100")) + b"GET / HTTP/1.1\r\n\r\n")
        doubts = " ".join(doubt for one in said(program, 8)[6:] for doubt in one["doubts"])
    assert "not a notification" in doubts
    assert "not a wrapper frame" in doubts
    sent(known, [apdu], TCP, port)
    assert said(program, 9)[8]["doubts"] == ["its counter came before: the head-end takes it once"]
    assert program.stop(signal.SIGINT) == 130
    assert trace.read_text().count("# push from") == 8
    assert known.keys.encryption.octets.hex() not in trace.read_text() + program.out + program.err


def test_on_a_terminal_names_values_and_units_are_shown_in_colour_and_it_ends_after_so_many(
    terminal: Terminal, meters: list[SimulatedMeter], keys: Path
) -> None:
    meter = meters[0]
    # A type as `check --save-type` writes it, with the meter's own scaler of the voltage alone.
    saved = terminal.folder / "saved.toml"
    head, profile, rest = (TYPES / "is15959-1ph.toml").read_text().partition("[profiles.block_load]")
    saved.write_text(head + profile + rest.replace("12.27.0.255/2 V", "12.27.0.255/2 -2 V", 1))
    keys.write_text(keys.read_text().replace(METER_TYPE.name, str(saved)))
    screen = Screen(terminal, "listen", "0", "--host", "127.0.0.1", "--keys", keys, "--count", "1")
    screen.shows(r"listening on TCP port \d+")
    port = int(screen.seen.partition("TCP port ")[2].partition(";")[0])
    sent(meter, [push(meter, "block_load", confirmed=True)], TCP, port)
    assert screen.ends() == 0
    assert "pole 1" in screen.seen
    assert "\x1b[1m" in screen.seen
    assert re.search(r"Voltage average.* 2\d\d\.\d+ V\W", screen.seen)
    assert re.search(r"Current average.* A .*unscaled", screen.seen)


def test_a_confirmed_notification_is_confirmed_where_its_type_knows_that(terminal: Terminal) -> None:
    idis = load_meter_type("idis")
    fleet = Fleet(5, 1, {"Bhopal city": 1}, datetime(2026, 1, 1, tzinfo=UTC))
    meter = next(iter(simulated_meters(fleet, idis, lambda: datetime.now(UTC), SimulatedMeter).values()))
    keys, file = meter.keys, terminal.folder / "keys.toml"
    file.write_text(f'encryption_key = "{keys.encryption.octets.hex()}"\n'
                    f'authentication_key = "{keys.authentication.octets.hex()}"\n')  # fmt: skip
    program = terminal.start("listen", "0", "--host", "127.0.0.1", "--keys", file, "--type", "idis", "--json")
    port = int(program.says(r"TCP port (\d+)")[1])
    answer = sent(meter, [push(meter, "alarm", confirmed=True)], TCP, port, answered=True)
    assert answer is not None
    assert said(program, 1)[0]["confirmed"]
    assert program.stop(signal.SIGTERM) == 130


def test_a_port_that_is_taken_is_said_at_once(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"{port}" in terminal.refusal("listen", str(port), "--host", "127.0.0.1", exit_code=4)
