"""What a read over a serial line of 9600 baud takes, against what its octets take on the line.

`headend read block-load` and the simulated meter are processes at the two ends of a line that is as slow as a real one
(tests/acceptance/slow_line.py); both figures are what the command says itself. Beside them stands what the DLMS UA
publishes for four channels, one and seven days of quarter hours, without saying what else was asked.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from slow_line import SlowLine, slow_line

TYPES = Path(__file__).parents[2] / "profiles" / "types"
HEADEND = Path(sys.executable).with_name("headend")
ZONE = ZoneInfo("Asia/Kolkata")
MOST = 1.05
"""Of what the octets take."""
PUBLISHED = {(1, 4): 4.0, (7, 4): 29.0}
"""Seconds by days and columns (DLMS UA, "DLMS performance", four channels at 9600 baud)."""
COLUMNS = ("12.27", "1.29", "9.29", "2.29")
RESULTS: dict[tuple[int, int, int, str], dict[str, Any]] = {}
"""By days, columns beside the clock, window, opening."""


@pytest.fixture(scope="module", params=[3, 4], ids="clock + {}".format)
def columns(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module", params=["", "mode=e"], ids=lambda opening: opening or "hdlc")
def meter(
    request: pytest.FixtureRequest, columns: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SlowLine, Path, str]]:
    """A meter at the end of a line, and a folder with `type.toml` and `keys.toml`."""
    folder = tmp_path_factory.mktemp("line")
    head, block, rest = (TYPES / "is15959-1ph.toml").read_text().partition("[profiles.block_load]")
    kept, _, rest = rest.partition("capture_objects = [")
    listed = '"8/0.0.1.0.0.255/2", ' + ", ".join(f'"3/1.0.{code}.255/2"' for code in COLUMNS[:columns])
    (folder / "type.toml").write_text(f"{head}{block}{kept}capture_objects = [{listed}]{rest.partition(']')[2]}")
    with slow_line() as line:
        command = [sys.executable, "-m", "simulators", "--meters", "1", "--port", "0", "--json", "--until-input-ends"]
        command += ["--type", str(folder / "type.toml"), "--registry", str(folder / "meters.csv")]
        command += [
            "--start",
            (datetime.now(ZONE) - timedelta(9)).isoformat(),
            "--serial",
            line.meter,
            *(["--mode-e"] if request.param else []),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            assert server.stdin is not None
            ready = json.loads(server.stdout.readline())
            with (folder / "meters.csv").open() as rows:
                row = next(csv.DictReader(rows))
            keys = (f'{name} = "{row[name]}"' for name in ("encryption_key", "authentication_key", "lls_secret"))
            (folder / "keys.toml").write_text("\n".join(keys))
            # What a simulated meter needs to work out its first rows is no part of the line.
            subprocess.run(
                [HEADEND, "read", f"tcp://{ready['first_host']}:{ready['port']}", "block-load", "--last", "8d", "--csv",
                 "--type", folder / "type.toml", "--keys", folder / "keys.toml",
                 "--counters", folder / "counters.json"],
                stdout=subprocess.DEVNULL, check=True, timeout=90,
            )  # fmt: skip
            yield line, folder, request.param
            server.stdin.close()


@pytest.mark.parametrize("window", [1, 7])
@pytest.mark.parametrize("days", [1, 7])
def test_a_read_takes_what_its_octets_take(
    meter: tuple[SlowLine, Path, str], columns: int, days: int, window: int
) -> None:
    line, folder, opening = meter
    address = f"serial://{line.client}?window={window}" + (f"&{opening}" if opening else "")
    span = ("--from", str(datetime.now(ZONE).date() - timedelta(days)), "--to", "today")
    command = [HEADEND, "read", address, "block-load", *span, "--json", "--type", folder / "type.toml"]
    before = line.octets
    done = subprocess.run(
        [*command, "--keys", folder / "keys.toml", "--counters", folder / "counters.json"],
        capture_output=True,
        check=True,
        timeout=90,
    )
    said = json.loads(done.stdout)
    use = said["line"]
    assert len(said["intervals"]) == days * 96
    if not opening:
        assert use["sent"] + use["received"] == line.octets - before
    RESULTS[days, columns, window, opening] = use
    assert use["taken_s"] <= MOST * use["line_s"]


def test_the_figures() -> None:
    print("\ndays  columns    window  opening  octets  computed s  taken s  over    sign-on s  published s")
    for (days, columns, window, opening), use in sorted(RESULTS.items()):
        published = PUBLISHED.get((days, columns))
        print(
            f"{days:4}  clock + {columns}  {window:6}  {opening or '-':7}  {use['sent'] + use['received']:6}"
            f"  {use['line_s']:10.2f}  {use['taken_s']:7.2f}  {use['taken_s'] / use['line_s'] - 1:+5.1%}"
            f"  {use['opening_s']:9.2f}  {published if published else ''}"
        )
