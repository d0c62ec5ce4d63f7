"""Commands at one meter of the utility's registry: asked by its name with the vault's keys, never cut off by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bad_link import BadLink
from many import Many
from terminal import Meters, Terminal, free_port

REFUSED = (3, "is not changed by hand on a meter of the utility's registry")
RELAY, SECURITY = ("70", "0.0.96.3.10.255"), ("64", "0.0.43.0.0.255")
SETTING = ("--type", "is15959-1ph", "--client", "48")


@pytest.fixture
def office(terminal: Terminal, fleet: Meters, postgres_dsn: str) -> dict[str, str]:
    """The environment of a machine whose settings name a database, in which the fleet is registered."""
    environment = {
        "HEADEND_DATABASE__DSN": postgres_dsn,
        "HEADEND_VAULT__KEK_FILE": str(terminal.folder / "kek"),
    }
    terminal.run("vault", "init", terminal.folder / "kek")
    terminal.run("meters", "import", fleet.registry, exit_code=0, given=None, **environment)
    return environment


def key_file(terminal: Terminal, row: dict[str, str]) -> Path:
    """The keys of a meter, whatever its address."""
    file = terminal.folder / "meter.toml"
    file.write_text("\n".join(f'{name} = "{row[name]}"' for name in row if "key" in name or "secret" in name))
    return file


def test_a_registered_meter_is_read_and_checked_by_its_name(
    terminal: Terminal, fleet: Meters, office: dict[str, str]
) -> None:
    row = fleet.rows[0]
    read = terminal.run("read", row["name"], "nameplate", "--json", exit_code=0, given=None, **office)
    assert json.loads(read.stdout)["rows"][0]["serial_number"] == row["serial"]
    checked = terminal.run("check", row["serial"], "--json", exit_code=0, given=None, **office)
    assert json.loads(checked.stdout)["serial"] == row["serial"]
    told = terminal.refusal("read", "nobody", "clock", exit_code=3, **office)
    assert "neither an address nor a meter in the book, nor a registered one" in told


def test_what_can_cut_it_off_is_refused_by_name_by_address_and_by_whatever_way_leads_to_it(
    terminal: Terminal, fleet: Meters, office: dict[str, str]
) -> None:
    row, other = fleet.rows[0], fleet.rows[1]
    sure = ("--serial", row["serial"], "--keys", str(key_file(terminal, row)))
    others = ("--keys", str(fleet.registry))
    acts: list[tuple[str, ...]] = []
    for meter in (row["name"], row["address"], row["address"].replace("tcp:", "hdlc+tcp:")):
        acts += [("relay", meter, "off"), ("limit", meter, "--set", "100")]
        acts += [("call", meter, *RELAY, "1", "i8:0", *SETTING), ("set", meter, *SECURITY, "2", "enum:0", *SETTING)]
    acts += [("call", row["address"], class_id, "0.0.40.0.0.255", "1", *SETTING) for class_id in ("15", "18")]
    away = office | {"HEADEND_DATABASE__DSN": f"host=127.0.0.1 port={free_port()} dbname=none"}
    many = Many(terminal)
    with BadLink(row["address"]) as tunnel:
        for act in acts:
            many.run(*act, *sure, **office)
        # Another way to it is known by the number that was typed.
        many.run("relay", tunnel.address, "off", *sure, **office)
        # Where the database is away nobody knows.
        many.run("relay", other["address"], "off", "--serial", other["serial"], *others, **away)
        many.refusals([*[REFUSED] * len(acts), REFUSED, (10, "the database")])
        assert tunnel.connections == 0
    # What reads asks no database.
    read = terminal.run("read", other["address"], "status", "--json", *others, exit_code=0, given=None, **away)
    assert json.loads(read.stdout)["rows"][0]["relay"] == "connected"
