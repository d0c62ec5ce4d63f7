"""The example meter of pydlms-client as we read it: as a library, by `headend read`, and by the daemon.

Nobody here wrote the meter. What it holds is told by pydlms-client's own client, over the same association as ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from drivers.address import parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms import axdr
from drivers.dlms.security import Key, Secret
from drivers.reading import association_of, read_invocation_counter, read_layout, read_profile
from drivers.session import Session, open_session
from profiles.datetimes import instant
from profiles.intervals import Quality
from profiles.loader import load_meter_type
from profiles.objects import AttributeRef, Obis

TYPE_FILE = Path(__file__).with_name("pydlms-sim.toml")
TYPE = load_meter_type(TYPE_FILE)

ENCRYPTION_KEY = "000102030405060708090A0B0C0D0E0F"
AUTHENTICATION_KEY = "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"
PASSWORD = "open-sesame"
OUR_TITLE = "4845530000000001"
WITNESS_TITLE = "5749544E45535301"

CLOCK, ENERGY = "0.0.1.0.0.255/2", "1.0.1.8.0.255/2"
DAY = ("--from", "2024-05-01", "--to", "2024-05-02")
"""All that the meter holds: 96 rows with dates that never change."""

Run = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Way:
    """A way into the meter: one of the type's associations, and what both clients need for it."""

    run: Run
    name: str
    port: int
    keys: dict[str, str]
    witness_options: tuple[str, ...]

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}?client={TYPE.associations[self.name].client_sap}"

    def witness(self, command: str, *options: str) -> list[dict[str, Any]]:
        """What pydlms-client's own client prints."""
        client = ("--client", str(TYPE.associations[self.name].client_sap), *self.witness_options)
        done = self.run("pydlms", "--json", command, *options, *client, f"tcp://127.0.0.1:{self.port}")
        said: list[dict[str, Any]] = json.loads(done.stdout)
        return said

    def witness_rows(self) -> list[tuple[datetime, int]]:
        """UTC stamp and Wh of every row of the load profile."""
        rows = self.witness("profile", "--obis", "1.0.99.1.0.255")
        assert len(rows) == 96
        return [(moment(row[CLOCK]), row[ENERGY]) for row in rows]


def moment(text: str) -> datetime:
    """From `2024-05-01 12:00:00.00 +02:00`, in UTC."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f %z").astimezone(UTC)


@contextmanager
def served(serve: Callable[..., Any], folder: Path, *options: str) -> Iterator[int]:
    """The example meter; gives its port."""
    command = ("pydlms", "simulate", "--host", "127.0.0.1", "--port", "0", *options)
    with serve(folder, r"listening on 127\.0\.0\.1:(\d+) \(wrapper\)", *command) as (found, _):
        yield int(found[1])


@pytest.fixture(scope="module")
def plain_port(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """It takes clients without security, and with LLS."""
    with served(serve, tmp_path_factory.mktemp("plain"), "--client", f"32:1:{PASSWORD}") as port:
        yield port


@pytest.fixture(scope="module")
def ciphered_port(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """It takes HLS-GMAC with all ciphered, and the public client, which may ask for the invocation counter."""
    keys = ("--key", ENCRYPTION_KEY, "--auth-key", AUTHENTICATION_KEY)
    with served(serve, tmp_path_factory.mktemp("ciphered"), *keys, "--client", "48:5") as port:
        yield port


@pytest.fixture
def public(run: Run, plain_port: int) -> Way:
    return Way(run, "public", plain_port, {}, ())


@pytest.fixture
def lls(run: Run, plain_port: int) -> Way:
    return Way(run, "lls", plain_port, {"lls_secret": PASSWORD}, ("--auth", "lls", "--password", PASSWORD))


@pytest.fixture
def gmac(run: Run, ciphered_port: int) -> Way:
    keys = {"encryption_key": ENCRYPTION_KEY, "authentication_key": AUTHENTICATION_KEY}
    options = ("--auth", "gmac", "--key", ENCRYPTION_KEY, "--auth-key", AUTHENTICATION_KEY)
    return Way(run, "gmac", ciphered_port, keys, (*options, "--system-title", WITNESS_TITLE, "--discover-ic"))


@pytest.fixture(params=["public", "lls", "gmac"])
def way(request: pytest.FixtureRequest) -> Way:
    """Each way in turn."""
    found: Way = request.getfixturevalue(request.param)
    return found


# -- as a library -----------------------------------------------------------------------------------------------


async def credentials(way: Way) -> Credentials:
    """Ours for this way; its counters start above all that the meter has seen."""
    secret = Secret(way.keys["lls_secret"].encode()) if "lls_secret" in way.keys else None
    counter = TYPE.associations[way.name].invocation_counter
    if counter is None:
        return Credentials(secret=secret)
    seen = await read_invocation_counter(parse_address(way.address), TYPE, counter)
    keys = Key.from_hex(way.keys["encryption_key"]), Key.from_hex(way.keys["authentication_key"])
    return Credentials(bytes.fromhex(OUR_TITLE), *keys, counters=CounterRange(seen + 1, seen + 101))


async def value_of(session: Session, attribute: AttributeRef) -> Any:
    return axdr.decode(await session.get(attribute))


async def test_we_read_its_clock_its_registers_and_its_profile_as_its_own_client_does(way: Way) -> None:
    address = parse_address(way.address)
    profile = TYPE.profiles["block_load"]
    start = datetime(2024, 5, 1, tzinfo=UTC)
    async with open_session(address, TYPE, association_of(TYPE, address), await credentials(way)) as session:
        clock = await value_of(session, TYPE.clock)
        registers = {}
        for name in ("1.0.1.8.0.255", "1.0.32.7.0.255", "1.0.31.7.0.255"):
            raw, scaler_unit = [
                await value_of(session, AttributeRef(3, Obis.parse(name), attribute)) for attribute in (2, 3)
            ]
            registers[name] = Decimal(raw).scaleb(scaler_unit[0])
        layout = await read_layout(session, profile)
        table = await read_profile(session, TYPE, profile, layout, start, start + timedelta(days=1))

    (said,) = way.witness("clock")
    assert instant(clock, TYPE.zone, TYPE.deviation) == moment(said["clock"])
    for name, value in registers.items():
        (said,) = way.witness("read", "--obis", name, "--class", "3", "--register")
        assert value == Decimal(str(said["value"]))
    assert layout.capture_objects == profile.capture_objects
    stamps, energy = table.columns
    rows = zip(stamps.values, energy.values, strict=True)
    ours = [(instant(bytes(stamp), TYPE.zone, TYPE.deviation), int(value)) for stamp, value in rows]
    assert ours == way.witness_rows()


# -- by the command line ----------------------------------------------------------------------------------------


def read_command(way: Way, folder: Path, keys: dict[str, str]) -> tuple[str | Path, ...]:
    key_file = folder / "keys.toml"
    key_file.write_text("".join(f'{name} = "{value}"\n' for name, value in keys.items()))
    files = ("--type", TYPE_FILE, "--keys", key_file, "--counters", folder / "counters.json")
    return ("headend", "read", way.address, "block-load", *DAY, *files, "--json")


def test_headend_read_prints_the_rows_that_its_own_client_prints(run: Run, way: Way, tmp_path: Path) -> None:
    said = json.loads(run(*read_command(way, tmp_path, way.keys)).stdout)

    assert said["units"] == {"wh_import_register": "Wh"}
    assert said["suspects"] == []
    rows = [(datetime.fromisoformat(row["start"]), row["wh_import_register"]) for row in said["intervals"]]
    assert rows == way.witness_rows()


@pytest.mark.parametrize(
    ("name", "key"), [("lls", "lls_secret"), ("gmac", "encryption_key"), ("gmac", "authentication_key")]
)
def test_it_refuses_a_wrong_key_and_headend_read_says_so_in_one_line(
    request: pytest.FixtureRequest, run: Run, name: str, key: str, tmp_path: Path
) -> None:
    way: Way = request.getfixturevalue(name)
    wrong = way.keys[key][:-1] + "0"
    refused = run(*read_command(way, tmp_path, {**way.keys, key: wrong}), exit_code=7)

    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert f"127.0.0.1:{way.port} · associate: the meter " in refused.stderr
    assert wrong.lower() not in refused.stderr.lower()


# -- by the daemon ----------------------------------------------------------------------------------------------


def meter_list(way: Way) -> str:
    cells = {
        "name": "example",
        "serial": "PYD0000000001",
        "address": way.address,
        "meter_type": TYPE.name,
        "commissioned_at": "2024-05-01T00:00Z",
        "system_title": "5059440000000001",
        **way.keys,
    }
    return f"{','.join(cells)}\n{','.join(cells.values())}\n"


def collected(run: Run, settings: Path) -> dict[str, int]:
    """How a collection by hand went."""
    report = json.loads(run("headend", "collect", "example", "--once", "--json", "--config", settings).stdout)
    return {name: report[name] for name in ("meters", "answered")}


def stored(dsn: str) -> list[tuple[Any, ...]]:
    """Every stored interval, with the transaction that wrote it."""
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT xmin::text, * FROM interval_reading ORDER BY meter_id, ts").fetchall()


@pytest.mark.parametrize("name", ["public", "gmac"])
def test_the_daemon_collects_its_load_profile_once_however_often_it_runs(
    request: pytest.FixtureRequest, run: Run, name: str, timescale_dsn: str, tmp_path: Path
) -> None:
    way: Way = request.getfixturevalue(name)
    settings, meters, kek = tmp_path / "headend.toml", tmp_path / "meters.csv", tmp_path / "kek"
    run("headend", "vault", "init", kek)
    settings.write_text(
        f'meter_types = ["{TYPE_FILE}"]\n[vault]\nkek_file = "{kek}"\n[database]\ndsn = "{timescale_dsn}"\n'
        f'[spool]\nfolder = "{tmp_path / "spool"}"\nmin_free_mb = 0\n'
    )
    meters.write_text(meter_list(way))
    run("headend", "meters", "import", meters, "--config", settings)

    assert collected(run, settings) == {"meters": 1, "answered": 1}

    with psycopg.connect(timescale_dsn) as connection:
        hypertables = "SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_name = %s"
        assert connection.execute(hypertables, ("interval_reading",)).fetchone() == (1,)
        columns = "SELECT ts, interval_s, wh_import_register, quality FROM interval_reading ORDER BY ts"
        rows = connection.execute(columns).fetchall()
    # Its clock stands still in 2024.
    quality = Quality.CLOCK_SUSPECT | (0 if way.keys else Quality.NOT_AUTHENTICATED)
    assert rows == [(start, 900, 1000 * energy, quality) for start, energy in way.witness_rows()]

    before = stored(timescale_dsn)
    assert collected(run, settings) == {"meters": 1, "answered": 1}
    assert stored(timescale_dsn) == before
    with psycopg.connect(timescale_dsn) as connection:
        for table in ("reading_revision", "suspect_row", "interval_extra"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
