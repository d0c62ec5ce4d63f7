"""CPU of a client for one ciphered session: connect, AARQ, HLS-GMAC, one GET, release.

Ours and three others, each in a process of its own, one session after the other with the same simulated meter; and ours
with twenty meters at once, as the daemon works: a process that sleeps through every answer wakes up to cold caches. CPU
is the process's and the system's for it (`time.process_time`), the best of some rounds. All protect each APDU by the
global key; dlms-cosem can only do so in general-glo-ciphering, and so has an association for that.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROFILES = Path(__file__).parents[2] / "profiles" / "types"
FOLDER = Path(__file__).parent
TITLE = "4845530000000001"
SESSIONS = 20
"""A round; the best of some rounds counts."""
STEP = 16
"""Invocation counters that a session has for itself."""
CLIENTS = ("ours", "ours, at once", "dlms-cosem", "pydlms", "gurux")
RESULTS: dict[str, float] = {}
"""Milliseconds of CPU a session by client, in the order of the tests."""

GENERAL = """
[associations.general]
client_sap = 49
mechanism = 5
security_control = 0x30
ciphering = "general-glo"
logical_name = "0.0.40.0.4.255"
invocation_counter = "0.0.43.1.4.255"
max_pdu = 65535
"""


@pytest.fixture(scope="module")
def meter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Served meters: addresses and keys."""
    folder = tmp_path_factory.mktemp("meter")
    meter_type, registry = folder / "gmac.toml", folder / "meters.csv"
    text = (PROFILES / "is15959-1ph.toml").read_text()
    meter_type.write_text(text.replace("mechanism = 2", "mechanism = 5") + GENERAL)
    options = ["--meters", str(SESSIONS), "--port", "0", "--json", "--until-input-ends", "--type", meter_type]
    command = [sys.executable, "-m", "simulators", *options, "--registry", registry]
    # Its warnings are of others: dlms-cosem and gurux use a counter twice.
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        ready = json.loads(server.stdout.readline())
        with registry.open(newline="") as file:
            rows = list(csv.DictReader(file))
        yield {
            "host": ready["first_host"],
            "port": ready["port"],
            "type": str(meter_type),
            "title": TITLE,
            "server_title": rows[0]["system_title"],
            "encryption_key": rows[0]["encryption_key"],
            "authentication_key": rows[0]["authentication_key"],
            "meters": rows,
            "sessions": SESSIONS,
            "step": STEP,
        }
        server.stdin.close()


@pytest.mark.parametrize(
    ("name", "program", "association", "client"),
    [
        ("ours", "session_client.py", "utility_setting", 48),
        ("ours, at once", "session_client.py", "utility_setting", 48),
        ("dlms-cosem", "session_client.py", "general", 49),
        ("pydlms", "session_peer.py", "utility_setting", 48),
        ("gurux", "session_peer.py", "utility_setting", 48),
    ],
)
def test_sessions(meter: dict[str, Any], name: str, program: str, association: str, client: int) -> None:
    counter = CLIENTS.index(name) + 1 << 20  # each has counters above those of the one before
    given = json.dumps({**meter, "association": association, "client": client, "counter": counter})
    done = subprocess.run(
        [sys.executable, FOLDER / program, name], input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    RESULTS[name] = float(done.stdout) * 1e3


def test_cpu_of_a_session_beside_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    own = RESULTS["ours"]
    with capsys.disabled():
        print(f"\n{'client':20}{'ms of CPU a session':>22}{'times ours':>14}")
        for name, milliseconds in RESULTS.items():
            print(f"{name:20}{milliseconds:22.3f}{milliseconds / own:14.1f}")
    assert tuple(RESULTS) == CLIENTS
