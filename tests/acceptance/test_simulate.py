"""`headend simulate`: meters to try everything else on, and what they notice of their clients."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from terminal import HEADEND, LIMIT_S, Meters, Terminal

from drivers.address import parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms.security import Key, Secret
from drivers.reading import association_of
from drivers.session import open_session
from profiles.errors import LinkError
from profiles.loader import load_meter_type

TYPE = load_meter_type("is15959-1ph")


@asynccontextmanager
async def by_hand(meters: Meters, first_counter: int) -> AsyncIterator[None]:
    """A session with the first meter, by a client that counts from where it likes."""
    row, address = meters.rows[0], parse_address(meters.address())
    credentials = Credentials(
        client_title=b"BYHAND00",
        encryption_key=Key.from_hex(row["encryption_key"]),
        authentication_key=Key.from_hex(row["authentication_key"]),
        secret=Secret(row["lls_secret"].encode()),
        counters=CounterRange(first_counter, first_counter + 64),
    )
    async with open_session(address, TYPE, association_of(TYPE, address), credentials):
        yield


async def test_an_invocation_counter_that_comes_twice_is_refused_and_ends_the_run_with_1(terminal: Terminal) -> None:
    meters = terminal.meters(2)
    async with by_hand(meters, 100):
        pass
    with pytest.raises(LinkError):
        async with by_hand(meters, 100):
            pass
    assert meters.program.stop() == 1
    assert json.loads(meters.program.out.splitlines()[-1])["repeated_counters"] > 0
    told = f"simulate: {meters.rows[0]['serial']}: counter 100 of {b'BYHAND00'.hex().upper()} came twice\n"
    assert told in meters.program.err


async def test_a_counter_far_above_ours_is_believed_only_where_the_engineer_says_so(terminal: Terminal) -> None:
    meters = terminal.meters(1)
    async with by_hand(meters, 3_000_000):
        pass
    command = ("read", meters.address(), "block-load", "--keys", meters.registry, "--csv")
    told = terminal.refusal(*command, exit_code=6)
    assert "counter 30000" in told
    assert "--accept-counter" in told
    assert terminal.run(*command, "--accept-counter").stdout.startswith("start,")
    meters.stop()


async def test_a_meter_that_is_busy_with_another_client_is_said_to_be(terminal: Terminal) -> None:
    meters = terminal.meters(1)
    async with by_hand(meters, 1):
        told = terminal.refusal("read", meters.address(), "block-load", "--keys", meters.registry, exit_code=8)
    assert "try again" in told
    meters.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(terminal: Terminal, number: int) -> None:
    program = terminal.start("simulate", "--meters", "3", "--port", "0")
    program.says(r"3 meters answer at 127\.1\.0\.1 to 127\.1\.0\.3, port \d+", of="out")
    assert program.stop(number) == 0
    assert program.err == ""


def test_it_ends_with_the_program_that_holds_its_input(terminal: Terminal) -> None:
    command = [HEADEND, "simulate", "--meters", "2", "--port", "0", "--until-input-ends"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=terminal.environment)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"2 meters answer")
        process.stdin.write(b"nothing that it reads\n")
        process.stdin.flush()
        process.stdin.close()
        assert process.wait(LIMIT_S) == 0
    assert "give a pipe" in terminal.refusal("simulate", "--port", "0", "--until-input-ends", exit_code=3)


def test_its_lists_hold_what_was_asked_for_and_keys_are_for_its_owner_alone(terminal: Terminal) -> None:
    meters = terminal.meters(3, days=2)
    assert meters.registry.stat().st_mode & 0o077 == 0
    assert [row["serial"] for row in meters.rows] == sorted({row["serial"] for row in meters.rows}, key=lambda s: s[3:])
    assert meters.expected == 3 * 192
    again = terminal.meters(3, days=2)
    assert again.expect.read_text() == meters.expect.read_text()
    other = terminal.meters(3, days=2, seed=2)
    assert other.expect.read_text() != meters.expect.read_text()
    for fleet in (meters, again, other):
        fleet.stop()


def test_what_it_cannot_do_is_said_in_one_line(terminal: Terminal) -> None:
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "choose another --port" in terminal.refusal("simulate", "--port", port, exit_code=3)
    assert "a fleet has 1 to" in terminal.refusal("simulate", "--meters", "0", exit_code=3)
    assert "is not a time" in terminal.refusal("simulate", "--start", "tomorrow", exit_code=3)
    nowhere = terminal.folder / "none" / "expect.csv"
    assert f"can't write {nowhere}" in terminal.refusal("simulate", "--port", "0", "--expect", nowhere, exit_code=3)
    assert "can't be read" in terminal.refusal("simulate", "--divisions", nowhere, exit_code=3)
