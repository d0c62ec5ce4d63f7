"""What an unlucky or hostile world does to the programs: places that are no files, full disks, lines that are cut."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from simulated import one_meter

from drivers.address import parse_address
from drivers.dlms.security import Key
from drivers.links import open_link
from drivers.links.transcript import write_transcript
from headend.audit_file import AuditFile
from headend.counter_file import CounterFile
from headend.keys import key_given, read_key_file
from profiles.errors import LinkTimeout, SettingsError
from profiles.loader import load_meter_type
from simulators.fleet import Fleet
from simulators.run import Options, simulate
from simulators.simulation import Simulation
from simulators.virtual_clock import VirtualClock

HEADEND = Path(sys.executable).with_name("headend")
KEY = Key.from_hex("000102030405060708090A0B0C0D0E0F")


@pytest.mark.parametrize(
    "read",
    [lambda: read_key_file(Path("/dev/zero")), lambda: key_given("secret", "@/dev/zero")],
    ids=["keys", "secret"],
)
def test_a_file_of_keys_that_never_ends_is_refused(read: Callable[[], object]) -> None:
    with pytest.raises(SettingsError, match="no file of keys: it is longer than"):
        read()


@pytest.mark.parametrize(
    "use",
    [
        lambda path: CounterFile(path).reserve(KEY, 1),
        lambda path: AuditFile(path).entries(),
        lambda path: AuditFile(path).append({"act": "set"}, datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_state_is_neither_read_from_nor_written_over_what_is_no_file(
    tmp_path: Path, use: Callable[[Path], object]
) -> None:
    place = tmp_path / "device"
    os.mkfifo(place)
    with pytest.raises(SettingsError, match="it is not a file"):
        use(place)
    assert place.is_fifo()
    assert [each.name for each in tmp_path.iterdir()] == ["device"]


@pytest.mark.parametrize("option", ["registry", "expect"])
async def test_a_simulated_fleet_writes_over_nothing_but_files(tmp_path: Path, option: str) -> None:
    """Nor does it wait for the other end of a pipe; a terminal that is reached by a link stays one as well."""
    pipe, link, (ours, theirs) = tmp_path / "pipe.csv", tmp_path / "terminal.csv", os.openpty()
    os.mkfifo(pipe)
    link.symlink_to(os.ttyname(theirs))
    fleet = Fleet(1, 1, {"Simulated": 1}, datetime(2026, 1, 1, tzinfo=UTC))
    simulation, clock = Simulation.of_type(fleet, load_meter_type("is15959-1ph")), VirtualClock.start()
    stopped = asyncio.Event()
    stopped.set()
    for place in (pipe, link):
        with pytest.raises(SettingsError, match=r"can't write .*: it is not a file"):
            await simulate(simulation, Options(**{option: place}), clock=clock, stop=stopped)  # type: ignore[arg-type]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
    assert stat.S_ISCHR(link.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["pipe.csv", "terminal.csv"]
    os.close(ours)
    os.close(theirs)
    plain = tmp_path / "plain.csv"
    plain.write_text("of before")
    await simulate(simulation, Options(**{option: plain}), clock=clock, stop=stopped)  # type: ignore[arg-type]
    assert plain.read_text() != "of before"


def test_a_transcript_that_finds_no_room_is_said_to(tmp_path: Path) -> None:
    with write_transcript(tmp_path / "trace") as transcript:
        assert transcript is not None
        transcript.sent(b"\x60", ())
    with pytest.raises(SettingsError, match="No space left"):
        _write_to_a_full_disk()


def _write_to_a_full_disk() -> None:
    with write_transcript(Path("/dev/full")) as transcript:
        assert transcript is not None
        transcript.sent(b"\x60", ())


@pytest.mark.parametrize(
    ("stdout", "code", "told"),
    [("/dev/full", 1, "headend: the output can't be written: No space left on device\n"), (None, 0, "")],
    ids=["full", "closed"],
)
@pytest.mark.parametrize("command", [["types"], ["--version"], ["decode", "0f00000001000201" + "1105", "--json"]])
def test_an_output_that_takes_nothing_is_no_crash(command: list[str], stdout: str | None, code: int, told: str) -> None:
    closing = f'exec {HEADEND} "$@" {">&-" if stdout is None else ">" + stdout}'
    done = subprocess.run(["/bin/sh", "-c", closing, "sh", *command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (code, told)


def test_a_reader_that_has_enough_is_not_complained_about() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([HEADEND, "--version"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


async def test_what_a_serial_server_fails_in_after_we_gave_up_is_nobodys_surprise() -> None:
    """pyserial waits 3 s for the options of a server that knows none; nobody waits for it any more then."""
    surprises: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: surprises.append(context))
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda reader, writer: held.append(writer), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(LinkTimeout, match="did not open within"):
            await open_link(parse_address(f"rfc2217://127.0.0.1:{port}?timeout=0.2"), client=16, server=1)
        await asyncio.sleep(3.5)
        for writer in held:
            writer.close()
    assert surprises == []


async def test_an_act_whose_answer_got_lost_is_not_recorded_as_failed(tmp_path: Path) -> None:
    async with one_meter(mechanism=0, security_control=0) as place:
        meter = place.meter.identity.host, place.server.port
        async with await asyncio.start_server(lambda *ends: _cut_at_answer(2, meter, *ends), "127.0.0.1", 0) as proxy:
            port = proxy.sockets[0].getsockname()[1]
            setting = ("set", f"tcp://127.0.0.1:{port}?timeout=5", "data", "0.0.96.13.0.255", "value", "octets:01")
            more = ("--client", "48", "--yes", "--counters", str(tmp_path / "counters.json"))
            asked = await asyncio.create_subprocess_exec(HEADEND, *setting, *more, stdin=asyncio.subprocess.DEVNULL)
            assert await asyncio.wait_for(asked.wait(), 60) == 4
    outcomes = [json.loads(line)["outcome"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert outcomes == ["asked", "not known: the meter closed the connection without an answer"]


async def _cut_at_answer(
    number: int, meter: tuple[str, int], client: asyncio.StreamReader, to_client: asyncio.StreamWriter
) -> None:
    """Carry requests and answers, in turns, up to the answer of this number, counted from 0, which is lost."""
    from_meter, to_meter = await asyncio.open_connection(*meter)
    for answers in range(number + 1):
        to_meter.write(await client.read(4096))
        answer = await from_meter.read(4096)
        if answers < number:
            to_client.write(answer)
    to_client.close()
    to_meter.close()
