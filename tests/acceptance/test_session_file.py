"""A reading kept at the pole, opened in the office, and loaded into the database."""

from __future__ import annotations

import csv
import json
import re
import signal
import zipfile

import psycopg
from bad_link import BadLink
from terminal import Meters, Terminal, wait_until

from drivers.links.transcript import read_transcript


def test_what_was_kept_opens_as_it_was_read_and_tells_no_secret(terminal: Terminal, fleet: Meters) -> None:
    file, folder, row = terminal.folder / "pole.session", terminal.folder, fleet.rows[0]
    read = terminal.run("read", row["address"], "all", "--keys", fleet.registry, "--json", "--save", file).stdout
    assert terminal.run("open", file, "--json").stdout == read
    shown = terminal.run("open", file, "block-load", "--csv", "--report", folder / "meter.html").stdout
    blocks = [float(line["wh_import"]) for line in csv.DictReader(shown.splitlines())]
    assert blocks == [line["wh_import"] for line in json.loads(read)["block-load"]["intervals"]]
    assert row["serial"] in (folder / "meter.html").read_text()

    terminal.run("open", file, "--trace", folder / "frames.txt")
    public, ours = read_transcript((folder / "frames.txt").read_text())
    assert len(ours.entries) > len(public.entries) > 4
    with zipfile.ZipFile(file) as archive:
        whole = b"".join(archive.read(name) for name in archive.namelist()).lower().decode()
    assert "** **" in whole, "a password was sent in clear"
    for name, secret in row.items():
        if "key" in name or "secret" in name:
            in_hex = secret.lower() if "key" in name else secret.encode().hex()
            for form in (secret.lower(), in_hex, re.sub("..(?=.)", r"\g<0> ", in_hex)):
                assert form not in whole, name


def test_a_reading_that_is_stopped_leaves_what_came_for_the_office(
    terminal: Terminal, fleet: Meters, postgres_dsn: str
) -> None:
    file, row = terminal.folder / "stopped.session", fleet.rows[1]
    keys = "\n".join(f'{name} = "{row[name]}"' for name in row if "key" in name or "secret" in name)
    (terminal.folder / "meter.toml").write_text(keys)
    with BadLink(row["address"], octets_per_s=20_000) as link:
        program = terminal.start("read", link.address, "all", "--keys", "meter.toml", "--save", file, "-v")
        program.says("reading daily")
        link.silent.set()
        came = link.received
        wait_until(lambda: link.received > came, "an answer that is lost")
        assert program.stop(signal.SIGINT) == 130
    assert program.out == ""
    assert f"kept, as far as it came: {file}" in program.err
    opened = terminal.run("open", file, "--json")
    assert opened.stderr == "headend: the reading ended early, and this is as far as it came: it was stopped by hand\n"
    assert json.loads(opened.stdout)["nameplate"]["rows"][0]["serial_number"] == row["serial"]

    terminal.environment["HEADEND_DATABASE__DSN"] = postgres_dsn
    told = terminal.refusal("import", file, exit_code=3)
    assert f"(serial {row['serial']}, system title {row['system_title']}, device {row['device_id']}) is not" in told
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
            "VALUES ('m1', %(serial)s, %(address)s, %(meter_type)s, 'x', %(commissioned_at)s, 900)",
            row,
        )
    done = json.loads(terminal.run("import", file, "--json").stdout)
    assert (done["broken"], done["meter"], done["problems"]) == ("it was stopped by hand", "m1", [])
    assert done["profile_rows"] >= 2
