"""Session files in both databases: their rows are those that a collection stores, and what they name is checked."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from collecting import Town, town
from test_collection_visit import blocks_are_stored, events_are_stored, rows_are_stored
from types_place import COMMISSIONED, NOW

from headend.cli.meter_options import MeterOptions
from headend.meter_types import MeterTypes
from headend.reading.span import Span
from headend.reading.telling import Telling
from headend.session_file.contents import SessionFile
from headend.session_file.loading import load
from headend.session_file.rows import Whose, finished_of
from headend.session_file.saving import Saving
from headend.session_file.zipped import read_session_file, write_session_file
from headend.single_read import Reading, SingleRead
from headend.store.rows import Source
from profiles.errors import IdentityMismatch, SettingsError
from profiles.intervals import Quality
from profiles.loader import load_meter_type

METER_TYPE = load_meter_type("is15959-3ph")
TYPES = MeterTypes()
ROWS = {
    "blocks": "SELECT to_jsonb(r) - 'read_at' - 'source' AS row FROM interval_reading r",
    "others": "SELECT to_jsonb(r) - 'read_at' - 'source' AS row FROM profile_reading r",
    "events": "SELECT to_jsonb(r) - 'read_at' - 'source' AS row FROM meter_event r WHERE log <> 'status_word'",
    "extras": "SELECT to_jsonb(r) - 'read_at' AS row FROM interval_extra r",
    "suspects": "SELECT to_jsonb(r) AS row FROM suspect_row r",
    "revisions": "SELECT to_jsonb(r) AS row FROM reading_revision r",
    "earlier": "SELECT to_jsonb(r) AS row FROM profile_revision r",
}


@pytest.fixture
async def place(dsn: str) -> AsyncIterator[Town]:
    async with town(dsn, METER_TYPE, 1) as place:
        yield place


async def kept_of(place: Town, folder: Path) -> SessionFile:
    """All that a meter says, by way of a file on the disk; but for its clock, which is not the time of day here."""
    text = io.StringIO()
    place.fleet.write_registry(text, port=place.server.port, meter_type=METER_TYPE.name)
    keys = folder / "meters.csv"
    keys.write_text(text.getvalue())
    (row,) = csv.DictReader(io.StringIO(text.getvalue()))
    options = MeterOptions(address=row["address"], keys=keys, counters=folder / "counters.json")
    saving = Saving(place.clock)
    span = Span(COMMISSIONED.isoformat(), NOW.isoformat())
    reading = Reading(SingleRead(options, "all", span), Telling(), saving)
    await reading.read()
    readout = replace(reading.readout, tables=tuple(one for one in reading.readout.tables if one.what != "clock"))
    with (folder / "a.session").open("wb") as file:
        write_session_file(file, saving.file(readout, b"", None))
    return read_session_file(folder / "a.session")


async def stored(place: Town) -> dict[str, list[str]]:
    return {name: sorted(str(row["row"]) for row in await place.ask(query)) for name, query in ROWS.items()}


async def test_a_file_brings_what_a_collection_stores_once_and_no_word_of_what_is_covered(
    place: Town, tmp_path: Path
) -> None:
    kept = await kept_of(place, tmp_path)
    tried = await load(place.dsn, kept, TYPES, now=place.now, dry_run=True)
    assert not any((await stored(place)).values())
    loaded = await load(place.dsn, kept, TYPES, now=place.now)
    assert loaded == tried
    assert (loaded.meter, loaded.problems) == (place.name(0), ())
    first = await stored(place)
    assert (loaded.written.inserted, loaded.written.events) == (len(first["blocks"]), len(first["events"]))
    assert len(first["events"]) > 20
    await loads_are_stored(place)
    for table in ("interval_reading", "profile_reading", "meter_event"):
        assert await place.ask(f"SELECT DISTINCT source FROM {table}") == [{"source": Source.FILE}]
    for table in ("event_mark", "absence", "clock_check", "meter_profile"):
        assert await place.ask(f"SELECT * FROM {table}") == [], table
    (meter,) = await place.ask("SELECT state, last_contact, maker FROM meter")
    assert meter == {"state": "registered", "last_contact": None, "maker": ""}

    again = (await load(place.dsn, kept, TYPES, now=place.now)).written
    assert (again.inserted, again.updated, again.profiles, again.revisions, again.suspects) == (0, 0, 0, 0, 0)
    assert (again.unchanged, await stored(place)) == (loaded.written.inserted, first)

    report = await place.visit()
    assert (report.answered, report.failed) == (1, {}), place.failures()
    collected = await stored(place)
    assert collected | {"others": []} == first | {"others": []}
    assert set(collected["others"]) > set(first["others"]), "and the values of another moment"
    for log in METER_TYPE.of_kind("event_log"):
        await events_are_stored(place, log)


async def loads_are_stored(place: Town) -> None:
    """Blocks, days and bills as they were in the world, value by value, no more and no less."""
    await blocks_are_stored(place)
    for name in ("daily_load", "billing"):
        await rows_are_stored(place, METER_TYPE.profiles[name])


async def test_a_file_of_no_meter_or_of_two_is_refused_and_a_broken_profile_fails_alone(
    place: Town, tmp_path: Path
) -> None:
    kept = await kept_of(place, tmp_path)
    manifest, said = kept.manifest, kept.manifest.meter

    async def refusal(kind: type[Exception], **changes: str) -> str:
        changed = replace(kept, manifest=replace(manifest, meter=replace(said, **changes)))
        with pytest.raises(kind) as caught:
            await load(place.dsn, changed, TYPES, now=place.now)
        return str(caught.value)

    names = {"device_id": "", "logical_device_name": ""}
    nobody = await refusal(SettingsError, serial="X1", system_title="0102030405060708", **names)
    assert "the file's meter (serial X1, system title 0102030405060708) is not registered" in nobody
    await place.ask(
        "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
        "VALUES ('m2', 'SN2', 'tcp://127.0.0.1', 'is15959-3ph', 'x', %s, 900) RETURNING id",
        COMMISSIONED,
    )
    assert f"could be {place.name(0)} and m2" in await refusal(IdentityMismatch, serial="SN2")
    assert "is registered" in await refusal(IdentityMismatch, serial="X1")
    assert "did not say who it is" in await refusal(SettingsError, serial="", system_title="", **names)
    assert "system title is none" in await refusal(SettingsError, system_title="0102")
    assert not any((await stored(place)).values())

    blocks, days = (str(METER_TYPE.profiles[name].obis) for name in ("block_load", "daily_load"))
    answers: list[Any] = []
    for one in kept.answers:
        if (one.obis, one.attribute) == (blocks, 3):
            continue
        answers.append(replace(one, octets=b"\x01\x7f\x02") if (one.obis, one.attribute) == (days, 2) else one)
    loaded = await load(place.dsn, replace(kept, answers=tuple(answers)), TYPES, now=place.now)
    assert [problem.split(":")[0] for problem in loaded.problems] == ["block_load", "daily_load"]
    assert "the file has no answer to this" in loaded.problems[0]
    assert loaded.written.events > 20

    whose = Whose(1, METER_TYPE, COMMISSIONED, authenticated=False, clock_suspect=True, now=place.now)
    finished, problems = await finished_of(kept.answers, whose)
    assert problems == []
    for item in finished.readings:
        for mark in (Quality.NOT_AUTHENTICATED, Quality.CLOCK_SUSPECT):
            assert ((item.batch.quality & mark) == mark).all()
    assert {one.quality & Quality.NOT_AUTHENTICATED for one in finished.events} == {Quality.NOT_AUTHENTICATED}
