"""How many meters a process of the simulator holds, how large each is, and how many sessions a second it serves.

Memory is what the operating system counts for the process (VmRSS). A rate is sessions by a second of the server's CPU,
its own and the system's for it: what one core serves while clients have the others. The best of some rounds counts.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop

from drivers.address import parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms.apdu import range_selection
from drivers.dlms.security import Key, Secret
from drivers.session import Session, open_session
from profiles.datetimes import encode_local
from profiles.loader import load_meter_type
from profiles.objects import AttributeRef

METERS, FEW = 10_000, 10
MOST_MB = 1500
SESSIONS, AT_ONCE, ROUNDS = 600, 32, 3
STEP = 32
"""Invocation counters that a session has for itself."""
TITLE = b"BENCH\x00\x00\x01"
METER_TYPE = load_meter_type("is15959-1ph")
BLOCKS = METER_TYPE.profiles["block_load"]
FLEET = Path(__file__).parents[2] / "config" / "fleet.toml"
RATES: dict[str, float] = {}
SIZES: dict[str, tuple[int, float]] = {}
"""Meters, and megabytes of their process, by what they are."""


@dataclass(frozen=True, slots=True)
class Served:
    """A process of simulated meters, and its meter list."""

    process: int
    port: int
    meters: list[dict[str, str]]

    @property
    def megabytes(self) -> float:
        status = Path(f"/proc/{self.process}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(folder: Path, meters: int, *options: str) -> Iterator[Served]:
    registry = folder / "meters.csv"
    given = ["--meters", str(meters), "--port", "0", "--json", "--until-input-ends", "--registry", str(registry)]
    command = [sys.executable, "-m", "simulators", *given, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        with registry.open(newline="") as file:
            yield Served(server.pid, ready["port"], list(csv.DictReader(file)))
        server.stdin.close()


async def nothing(session: Session) -> None:
    """A session that only opens and ends."""


async def the_clock(session: Session) -> None:
    await session.get(METER_TYPE.clock)


async def a_day(session: Session) -> None:
    """96 rows of the block load, by their range."""
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first, last = (
        encode_local(moment, METER_TYPE.zone, "ignore") for moment in (end - timedelta(days=1, minutes=-15), end)
    )
    selection = range_selection(BLOCKS.capture_objects[0], first, last)
    rows = await session.get(AttributeRef(7, BLOCKS.obis, 2), selection)
    assert len(rows) > 96 * 20


async def hold(meter: dict[str, str], number: int, what: Callable[[Session], Awaitable[None]]) -> None:
    """One session of the meter reader with a meter; `number`: how many there were with it before."""
    kind = METER_TYPE.associations["meter_reader"]
    credentials = Credentials(
        TITLE,
        Key.from_hex(meter["encryption_key"]),
        Key.from_hex(meter["authentication_key"]),
        Secret(meter["lls_secret"].encode()),
        CounterRange(1 + number * STEP, 1 + (number + 1) * STEP),
    )
    address = parse_address(meter["address"] + "?timeout=30")
    title = bytes.fromhex(meter["system_title"])
    async with open_session(address, METER_TYPE, kind, credentials, server_title=title) as session:
        await what(session)


async def hold_all(meters: list[dict[str, str]], number: int, what: Callable[[Session], Awaitable[None]]) -> None:
    waiting = iter(meters)

    async def work() -> None:
        for meter in waiting:
            await hold(meter, number, what)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def rate(place: Served, number: int, what: Callable[[Session], Awaitable[None]]) -> float:
    """Sessions a second of the server's CPU."""
    best = 0.0
    for turn in range(ROUNDS):
        chosen = place.meters[turn * SESSIONS : (turn + 1) * SESSIONS]
        begun = place.cpu_s
        uvloop.run(hold_all(chosen, number, what))
        best = max(best, SESSIONS / (place.cpu_s - begun))
    return best


@pytest.fixture(scope="module")
def all_of_them(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("all"), METERS) as place:
        SIZES["of one type"] = METERS, place.megabytes
        yield place


@pytest.mark.parametrize(
    ("name", "what"),
    [("open and release", nothing), ("and read the clock", the_clock), ("and read a day of blocks", a_day)],
)
def test_sessions(all_of_them: Served, name: str, what: Callable[[Session], Awaitable[None]]) -> None:
    RATES[name] = rate(all_of_them, len(RATES), what)


def test_ten_thousand_meters_take_less_than_their_share(
    all_of_them: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SIZES["of one type, after the sessions below"] = METERS, all_of_them.megabytes
    with served(tmp_path, METERS, "--ipv6-port", "0") as place:
        SIZES["of one type, each with a port on [::1] too"] = METERS, place.megabytes
    with served(tmp_path, METERS, "--fleet", str(FLEET)) as place:
        SIZES["of the roll-out's fleet file"] = METERS, place.megabytes
    with served(tmp_path, FEW) as place:
        alone = place.megabytes
    with capsys.disabled():
        print(f"\n{'meters':45}{'':>8}{'MB':>8}{'octets a meter':>16}")
        for name, (meters, megabytes) in SIZES.items():
            print(f"{name:45}{meters:8}{megabytes:8.0f}{(megabytes - alone) * 2**20 / (meters - FEW):16.0f}")
        print(f"\n{'sessions a second that one process serves':45}")
        for name, sessions in RATES.items():
            print(f"{name:45}{sessions:16,.0f}")
    assert max(megabytes for _, megabytes in SIZES.values()) < MOST_MB
    assert min(RATES.values()) > 0
