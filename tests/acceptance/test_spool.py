"""`headend spool`: what waits and what was refused, seen, kept in a file, tried again and forgotten."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from terminal import Terminal

from headend.spool.entries import RawApdu, row_of
from headend.spool.file import SpoolFile
from headend.store.finished import Contact, Finished
from headend.store.rows import MeterIntervals, Source
from profiles.intervals import IntervalBatch

AT = datetime(2026, 1, 31, 6, 15, tzinfo=UTC)
REFUSED = "there is no meter with id 3 (import the meter into the registry first)"


@pytest.fixture
def spooled(terminal: Terminal) -> Terminal:
    """Meters 1 to 5 and one APDU wait; what came of meters 3 and 4 was refused."""
    batch = IntervalBatch(
        np.array([0, 900_000_000]), 900, np.zeros(2, np.int32), {"voltage": np.array([230_100, 0])}, {}
    )
    spool = SpoolFile(terminal.folder / "spool", max_mb=64, min_free_mb=1)
    for meter in range(1, 6):
        contact = Contact(meter, AT + timedelta(minutes=meter))
        readings = (MeterIntervals(meter, batch, AT, Source.PUSH),)
        spool.append([row_of(Finished(contact, readings, received={(7, b"MMM12345"): 9}))])
    spool.append([row_of(RawApdu(AT, "udp", "[::1]:4059", b"\xdb\x08"))])
    spool.set_aside([3, 4], REFUSED, AT + timedelta(hours=1))
    spool.close()
    terminal.environment["HEADEND_SPOOL__FOLDER"] = str(terminal.folder / "spool")
    return terminal


def test_what_waits_and_what_was_refused_are_shown(spooled: Terminal) -> None:
    said = spooled.run("spool", "list").stdout
    assert said.startswith("1 apdu, 3 finished waiting; 0.0 of 4096 MB used\n")
    [line] = [line for line in said.splitlines() if "meter id 3" in line]
    assert line.split(maxsplit=10)[:5] == ["3", "finished", "meter", "id", "3"]
    assert "2026-01-31 06:18:00Z" in line
    assert REFUSED in line
    assert said.endswith("2 set aside\n")
    told = json.loads(spooled.run("spool", "list", "--json").stdout)
    assert told["waiting"] == {"apdu": 1, "finished": 3}
    assert told["limit"] == 4096 << 20
    assert 0 < told["octets"] < 1 << 20
    assert [(each["id"], each["origin"], each["error"]) for each in told["set_aside"]] == [
        (3, "meter id 3", REFUSED),
        (4, "meter id 4", REFUSED),
    ]


def test_what_was_refused_is_exported_whole_then_tried_again_or_dropped(spooled: Terminal) -> None:
    assert spooled.run("spool", "export", "refused.jsonl").stdout == "2 written to refused.jsonl\n"
    file = spooled.folder / "refused.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["id"], second["id"], first["error"]) == (3, 4, REFUSED)
    [reading] = first["content"]["readings"]
    assert (reading["meter_id"], reading["batch"]["values"]) == (3, {"voltage": [230_100, 0]})
    assert first["content"]["received"] == {"7/4d4d4d3132333435": 9}
    assert "new file" in spooled.refusal("spool", "export", "refused.jsonl", exit_code=3)
    apdu = json.loads(spooled.run("spool", "export", "-", "6").stdout)
    assert apdu["content"] == {"at": AT.isoformat(), "link": "udp", "peer": "[::1]:4059", "octets": "db08"}

    assert spooled.run("spool", "retry", "3", "5", exit_code=1).stdout == "1 of 2 wait again\n"
    assert json.loads(spooled.run("spool", "list", "--json").stdout)["waiting"]["finished"] == 4
    spooled.run("spool", "drop", "--all", given="n\n", exit_code=1)
    assert spooled.run("spool", "drop", "--all", "--yes").stdout == "1 of 1 dropped\n"
    told = json.loads(spooled.run("spool", "list", "--json").stdout)
    assert (told["waiting"]["finished"], told["set_aside"]) == (4, [])


def test_only_what_was_refused_can_be_dropped(spooled: Terminal) -> None:
    assert spooled.run("spool", "drop", "1", "--yes", exit_code=1).stdout == "0 of 1 dropped\n"
    assert json.loads(spooled.run("spool", "list", "--json").stdout)["waiting"]["finished"] == 3
    spooled.run("spool", "drop", exit_code=2)


def test_where_there_is_no_spool_none_is_made(terminal: Terminal) -> None:
    folder = terminal.folder / "none"
    said = terminal.refusal("spool", "list", exit_code=3, HEADEND_SPOOL__FOLDER=str(folder))
    assert f"there is no spool in {folder}" in said
    assert not folder.exists()
