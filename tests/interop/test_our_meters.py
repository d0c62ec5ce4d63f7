"""Our simulated meters as other implementations read them.

What a client printed is compared with what the simulator wrote beforehand of the physical load; stamps and scalers are
applied here, by hand. gurux-dlms checks no tags, so it says nothing about security; pydlms-client refuses whatever is
not protected as it should be.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

GURUX_CLIENT = Path(__file__).with_name("gurux_client.py")

IST = timezone(timedelta(hours=5, minutes=30))
BLOCK = timedelta(minutes=15)
CLOCK, BLOCK_LOAD, SCALERS = "0.0.1.0.0.255", "1.0.99.1.0.255", "1.0.94.91.4.255"
CLIENT_TITLE = "5749544E45535301"

Expected = dict[str, dict[str, str]]
"""The simulator's expected values of one meter, by UTC start."""

CHANNELS = {
    "1.0.12.27.0.255": ("voltage", 35),
    "1.0.11.27.0.255": ("current", 33),
    "1.0.1.29.0.255": ("wh_import", 30),
    "1.0.9.29.0.255": ("vah_import", 31),
    "1.0.2.29.0.255": ("wh_export", 30),
    "1.0.10.29.0.255": ("vah_export", 31),
    "0.0.96.10.1.255": ("meter_health", None),
    "0.1.96.12.5.255": ("signal_strength", None),
}
"""Column of the expected values and unit (Blue Book) of each captured object."""


@contextmanager
def our_meters(
    serve: Callable[..., Any], folder: Path, meter_type: str | Path, start: datetime, end: datetime
) -> Iterator[tuple[list[dict[str, str]], dict[str, Expected]]]:
    """Two simulated meters, one of each make: their meter list, and what each must say in [start, end), by serial.

    Fails where a client used an invocation counter twice under one key.
    """
    registry, expect = folder / "meters.csv", folder / "expect.csv"
    options = ("--meters", "2", "--port", "0", "--json", "--type", meter_type, "--registry", registry)
    bounds = ("--expect", expect, "--start", start.isoformat(), "--end", end.isoformat())
    ready = r'\{"meters": 2, .*\}\n'
    with serve(folder, ready, "python", "-m", "simulators", *options, *bounds) as (_, output):
        with registry.open(newline="") as file:
            meters = list(csv.DictReader(file))
        with expect.open(newline="") as file:
            expected: dict[str, Expected] = {}
            for row in csv.DictReader(file):
                expected.setdefault(row["serial"], {})[row["start"]] = row
        yield meters, expected
    assert json.loads(output.read_text().splitlines()[-1]) == {"repeated_counters": 0}


def two_days() -> tuple[datetime, datetime]:
    """The last two whole days in India."""
    midnight = datetime.now(IST).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=2), midnight


def utc_start(stamp: str) -> str:
    """The start, as the expected values have it, of the interval that a meter stamped so, at its end, in local time."""
    end = datetime.fromisoformat(stamp)
    assert end.tzinfo is None
    return (end.replace(tzinfo=IST) - BLOCK).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_rows(rows: Mapping[str, Mapping[str, int]], scalers: Mapping[str, list[int]], expected: Expected) -> None:
    """`rows`: raw numbers by object, by start; `scalers`: scaler and unit by object."""
    assert list(rows) == list(expected)
    assert len(rows) == 192
    for start, row in rows.items():
        said = {name: "" for name, _ in CHANNELS.values()}
        for obis, raw in row.items():
            name, unit = CHANNELS[obis]
            if unit is None:
                assert obis not in scalers
                said[name] = str(raw)
            else:
                assert scalers[obis][1] == unit
                said[name] = str(int(Decimal(raw).scaleb(scalers[obis][0] + 3)))
        assert said == {name: expected[start][name] for name in said}, start


@pytest.mark.parametrize(
    ("mechanism", "client", "counter"),
    [("LOW", 32, "0.0.43.1.2.255"), ("HIGH_GMAC", 48, "0.0.43.1.3.255")],
    ids=["lls", "gmac"],
)
def test_the_gurux_client_reads_clock_and_block_load_of_each_make(
    run: Callable[..., Any], serve: Callable[..., Any], tmp_path: Path, mechanism: str, client: int, counter: str
) -> None:
    start, end = two_days()
    with our_meters(serve, tmp_path, gmac_type(tmp_path), start, end) as (meters, expected):
        for meter in meters:
            host, _, port = meter["address"].removeprefix("tcp://").partition(":")
            wanted = {
                "host": host,
                "port": int(port),
                "client": client,
                "authentication": mechanism,
                "password": meter["lls_secret"] if mechanism == "LOW" else None,
                "encryption_key": meter["encryption_key"],
                "authentication_key": meter["authentication_key"],
                "system_title": CLIENT_TITLE,
                "counter": counter,
                "clock": CLOCK,
                "profile": BLOCK_LOAD,
                "scalers": SCALERS,
                "first": (start + BLOCK).replace(tzinfo=None).isoformat(),
                "last": end.replace(tzinfo=None).isoformat(),
            }
            before = datetime.now(IST).replace(microsecond=0, tzinfo=None)
            said = json.loads(run("python", GURUX_CLIENT, given=json.dumps(wanted)).stdout)
            assert before <= datetime.fromisoformat(said["clock"]) <= datetime.now(IST).replace(tzinfo=None)
            check_rows(gurux_rows(said), said["scalers"], expected[meter["serial"]])


def gmac_type(folder: Path) -> Path:
    """The single-phase type, but for HLS-GMAC in its utility setting association."""
    path = folder / "is15959-1ph-gmac.toml"
    path.write_text('extends = "is15959-1ph"\n[associations.utility_setting]\nmechanism = 5\n')
    return path


def gurux_rows(said: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """By start and object."""
    assert said["columns"][0] == CLOCK
    rows = {utc_start(stamp): dict(zip(said["columns"][1:], cells, strict=True)) for stamp, *cells in said["rows"]}
    assert len(rows) == len(said["rows"])
    return rows


@pytest.mark.parametrize(
    ("mechanism", "client", "secret"), [("lls", 32, "lls_secret"), ("hls", 48, "hls_secret")], ids=["lls", "hls-2"]
)
def test_the_strict_pydlms_client_takes_every_protected_answer_of_each_make(
    run: Callable[..., Any], serve: Callable[..., Any], tmp_path: Path, mechanism: str, client: int, secret: str
) -> None:
    start, end = two_days()
    with our_meters(serve, tmp_path, "is15959-1ph", start, end) as (meters, expected):
        for meter in meters:
            access = ("--client", str(client), "--auth", mechanism, "--password", meter[secret])
            keys = ("--key", meter["encryption_key"], "--auth-key", meter["authentication_key"], "--discover-ic")
            title = ("--system-title", CLIENT_TITLE, "--expect-server-title", meter["system_title"])
            options = (*access, *keys, *title, meter["address"])
            rows, scalers = (
                json.loads(run("pydlms", "--json", "profile", "--obis", profile, *options).stdout)
                for profile in (BLOCK_LOAD, SCALERS)
            )
            check_rows(pydlms_rows(rows, end), pydlms_scalers(scalers), expected[meter["serial"]])


def pydlms_rows(said: list[dict[str, Any]], end: datetime) -> dict[str, dict[str, int]]:
    """By start and object; its client asks for no range, so the running day, which starts at `end`, is left out."""
    rows = {utc_start(row[f"{CLOCK}/2"]): row for row in said}
    assert len(rows) == len(said)
    return {
        start: {name.removesuffix("/2"): cell for name, cell in row.items() if name != f"{CLOCK}/2"}
        for start, row in rows.items()
        if datetime.fromisoformat(start) < end
    }


def pydlms_scalers(said: list[dict[str, Any]]) -> dict[str, list[int]]:
    """By object, from the one row of the scaler profile."""
    (row,) = said
    return {name.removesuffix("/3"): cell for name, cell in row.items()}
