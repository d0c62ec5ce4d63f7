"""HDLC between us and pydlms-client, both ways: our client at its meter, its client at ours, and its optical head's
mode E sign-on at a meter of ours on a pseudo-terminal.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lines
import pytest

from drivers.address import parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms import axdr
from drivers.dlms.security import Key, Secret
from drivers.links.hdlc import HdlcLink
from drivers.reading import association_of, read_invocation_counter, read_layout, read_profile
from drivers.session import open_session
from profiles.loader import load_meter_type
from profiles.meter_type import Association

TYPE_FILE = Path(__file__).with_name("pydlms-sim.toml")
TYPE = load_meter_type(TYPE_FILE)
ENCRYPTION_KEY = "000102030405060708090A0B0C0D0E0F"
AUTHENTICATION_KEY = "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"
PASSWORD = "open-sesame"
LIMIT_S = 60.0

Serve = Callable[..., Any]
Run = Callable[..., Any]


@contextmanager
def their_meter(serve: Serve, folder: Path, *options: str) -> Iterator[int]:
    """The example meter of pydlms-client, over HDLC; its port."""
    command = ("pydlms", "simulate", "--host", "127.0.0.1", "--port", "0", "--hdlc", *options)
    with serve(folder, r"listening on 127\.0\.0\.1:(\d+) \(HDLC\)", *command) as (found, _):
        yield int(found[1])


def their_rows(run: Run, port: int, *options: str) -> list[int]:
    """The energies of the load profile as pydlms-client's own client reads them."""
    done = run("pydlms", "--json", "profile", "--obis", "1.0.99.1.0.255", *options, f"tcp+hdlc://127.0.0.1:{port}")
    return [row["1.0.1.8.0.255/2"] for row in json.loads(done.stdout)]


async def our_rows(address: str, credentials: Credentials) -> list[int]:
    place, profile = parse_address(address), TYPE.profiles["block_load"]
    start = datetime(2024, 5, 1, tzinfo=UTC)
    async with open_session(place, TYPE, association_of(TYPE, place), credentials) as session:
        assert isinstance(session.link, HdlcLink)
        layout = await read_layout(session, profile)
        table = await read_profile(session, TYPE, profile, layout, start, start + timedelta(days=1))
        assert session.link.data_link.repeated == session.link.data_link.passed_over == 0
    return [int(value) for value in table.columns[1].values]


@pytest.mark.parametrize("window", ["1", "3", "7"])
@pytest.mark.parametrize("offered", ["", "&information=128&window=1", "&information=512&window=2&physical=1&octets=4"])
async def test_their_meter_is_read_with_any_window_and_size(
    serve: Serve, run: Run, tmp_path: Path, window: str, offered: str
) -> None:
    with their_meter(serve, tmp_path, "--hdlc-window", window, "--client", f"32:1:{PASSWORD}") as port:
        secret = Credentials(secret=Secret(PASSWORD.encode()))
        ours = await our_rows(f"hdlc+tcp://127.0.0.1:{port}?client=32&timeout=30{offered}", secret)
        assert len(ours) == 96
        assert ours == their_rows(run, port, "--client", "32", "--auth", "lls", "--password", PASSWORD)


async def test_their_ciphered_meter_is_read(serve: Serve, tmp_path: Path) -> None:
    keys = ("--key", ENCRYPTION_KEY, "--auth-key", AUTHENTICATION_KEY)
    with their_meter(serve, tmp_path, *keys, "--client", "48:5") as port:
        address = f"hdlc+tcp://127.0.0.1:{port}?client=48&timeout=30"
        counter = TYPE.associations["gmac"].invocation_counter
        assert counter is not None
        seen = await read_invocation_counter(parse_address(address), TYPE, counter)
        pair = Key.from_hex(ENCRYPTION_KEY), Key.from_hex(AUTHENTICATION_KEY)
        credentials = Credentials(b"HES\0\0\0\0\1", *pair, counters=CounterRange(seen + 1, seen + 101))
        assert len(await our_rows(address, credentials)) == 96


def test_headend_read_reads_their_meter_and_traces_it_without_the_password(
    serve: Serve, run: Run, tmp_path: Path
) -> None:
    keys, trace = tmp_path / "keys.toml", tmp_path / "trace"
    keys.write_text(f'lls_secret = "{PASSWORD}"\n')
    with their_meter(serve, tmp_path, "--client", f"32:1:{PASSWORD}") as port:
        files = ("--type", TYPE_FILE, "--keys", keys, "--counters", tmp_path / "counters.json", "--trace", trace)
        day = ("--from", "2024-05-01", "--to", "2024-05-02", "--json")
        done = run("headend", "read", f"hdlc+tcp://127.0.0.1:{port}?client=32", "block-load", *day, *files)
        read = [row["wh_import_register"] for row in json.loads(done.stdout)["intervals"]]
        assert read == their_rows(run, port, "--client", "32", "--auth", "lls", "--password", PASSWORD)
    told = trace.read_text()
    assert told.startswith(f"# hdlc+tcp://127.0.0.1:{port} client 32 server 1\n")
    assert "> 7e a0" in told
    assert "** **" in told
    assert PASSWORD.encode().hex(" ") not in told


# --- their client at our meter --------------------------------------------------------------------------------


async def pydlms(*arguments: str) -> list[dict[str, Any]]:
    """What pydlms-client prints, while this process goes on serving it."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("pydlms"),
        *("--json", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            told, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    said: list[dict[str, Any]] = json.loads(told)
    return said


SERIAL = ("--obis", "0.0.96.1.0.255", "--class", "1")


@pytest.mark.parametrize("options", [(), ("--hdlc-window", "7"), ("--physical", "17", "--address-size", "4")])
async def test_their_client_reads_our_meter(options: tuple[str, ...]) -> None:
    place = lines.served()
    async with lines.hdlc_meter(place) as address:
        endpoint = address.replace("hdlc+tcp", "tcp+hdlc")
        (said,) = await pydlms("read", *SERIAL, *options, endpoint)
        assert said["value"] == place.meter.identity.serial
        assert len(await pydlms("list", *options, endpoint)) > 5


async def test_their_client_reads_our_block_load_ciphered_in_many_segments() -> None:
    place = lines.served()
    kind: Association = lines.METER_TYPE.associations["utility_setting"]
    keys = place.meter.keys
    security = ("--key", keys.encryption.octets.hex(), "--auth-key", keys.authentication.octets.hex())
    auth = ("--auth", "hls", "--password", keys.hls.octets.decode(), "--system-title", "5749544E45535301")
    counter = ("--invocation-counter", "1000", "--client", str(kind.client_sap))
    async with lines.hdlc_meter(place) as address:
        said = await pydlms(
            *("profile", "--obis", "1.0.99.1.0.255", *security, *auth, *counter, "--hdlc-window", "3"),
            address.replace("hdlc+tcp", "tcp+hdlc"),
        )
    column = [str(captured.obis) for captured in place.meter.capture_objects()].index("1.0.1.29.0.255")
    stored = [axdr.decode(row) for row in place.meter.rows(None)]
    assert len(said) > 100
    assert [row["1.0.1.29.0.255/2"] for row in said] == [row[column] for row in stored if isinstance(row, tuple)]


async def test_their_client_signs_on_to_our_meter_in_mode_e_as_ours_does() -> None:
    place = lines.served()
    with lines.mode_e_meter(place, coded=bytes) as meter:
        (said,) = await pydlms("read", *SERIAL, f"optical://{meter.terminal.path}")
        assert said["value"] == place.meter.identity.serial
        assert meter.speeds == [300, 9600]


async def test_their_client_reads_our_meter_on_a_serial_port() -> None:
    place = lines.served()
    with lines.serial_meter(place) as terminal:
        (said,) = await pydlms("read", *SERIAL, f"serial://{terminal.path}")
        assert said["value"] == place.meter.identity.serial
