"""Session files: what was written is read again, and what anybody else may have written ends in a clear error."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from drivers.links.line_time import LineUse
from headend.reading.output import Form, rendered
from headend.reading.tables import Column, Readout, Table
from headend.session_file.contents import FORMAT, NOTE, Answer, Manifest, SaidIdentity, SessionFile
from headend.session_file.saving import Saving, kept_transcript, new_file
from headend.session_file.zipped import LIMITS, read_session_file, write_session_file
from headend.words import ENGLISH, HINDI, Words, speak
from profiles.errors import SettingsError
from profiles.intervals import OFF_THE_GRID, Suspect

READ_AT = datetime(2026, 1, 31, 6, 15, tzinfo=UTC)
START = datetime(2026, 1, 31, 11, 0, tzinfo=ZoneInfo("Asia/Kolkata"))
QUARTER = timedelta(minutes=15)
LOAD = Table(
    "block-load",
    "Block load",
    (Column("start", "starts"), Column("voltage", "voltage", "V"), Column("text", "text")),
    tuple((START + place * QUARTER, Decimal("230.15"), "a [b]") for place in range(3)),
    (("power_fail",), (), ()),
    interval_s=900,
    start=START,
    end=START + 3 * QUARTER,
    suspects=(Suspect(OFF_THE_GRID, b"\x07\xea", b"\x02\x01"),),
    notes=("a note",),
)


CLOCK = Table(
    "clock",
    Words("Clock", "घड़ी"),
    (Column("drift", "drift", "s"), Column("status", "status")),
    ((-0.5, Words("good", "ठीक")),),
    record=True,
)
LINE = LineUse(9600, 120, 2400, 2.625, 2.7, 0.5)
KEPT = SessionFile(
    Manifest(
        FORMAT,
        NOTE,
        "headend 1",
        SaidIdentity("SN1", "SMA-1", "SMA1", "4D54523030303031", "Maker", "1.0"),
        "is15959-1ph",
        "tcp://127.0.0.1:4059",
        "meter_reader",
        True,
        "all",
        READ_AT,
        None,
        (),
    ),
    Readout(
        "tcp://127.0.0.1:4059", b"MTR00001", "SN1", "is15959-1ph", "Asia/Kolkata", READ_AT, (LOAD, CLOCK), (), LINE
    ),
    (Answer(READ_AT, 7, "1.0.99.1.0.255", 2, None, b"\x01\x00"), Answer(READ_AT, 8, "0.0.1.0.0.255", 2, b"\x02", b"")),
    b"# tcp://127.0.0.1:4059 client 32 server 1\n",
)


def members(kept: SessionFile = KEPT) -> dict[str, bytes]:
    file = io.BytesIO()
    write_session_file(file, kept)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(of: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, octets in of.items():
            archive.writestr(name, octets)
    return file.getvalue()


def forged(change: Callable[[dict[str, Any]], None]) -> bytes:
    """A file in which `manifest`, `tables`, `answers` are changed, and the sums are right again."""
    of = members()
    plain = {name: json.loads(of[f"{name}.json"]) for name in ("manifest", "tables", "answers")}
    change(plain)
    for name in ("tables", "answers"):
        of[f"{name}.json"] = json.dumps(plain[name]).replace("87654.5", "1e999").encode()
    for member in plain["manifest"].get("members", []):
        member["sha256"] = hashlib.sha256(of[member["name"]]).hexdigest()
    of["manifest.json"] = json.dumps(plain["manifest"]).encode()
    return zipped(of)


def refusal(folder: Path, octets: bytes) -> str:
    (folder / "x.session").write_bytes(octets)
    with pytest.raises(SettingsError) as caught:
        read_session_file(folder / "x.session")
    assert str(caught.value).startswith(f"{folder}/x.session: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    return str(caught.value)


def test_what_is_written_is_read_again_whole_and_its_owners_alone(tmp_path: Path) -> None:
    place = tmp_path / "a.session"
    with new_file(place) as file:
        write_session_file(file, KEPT)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    found = read_session_file(place)
    assert found.readout == KEPT.readout
    assert replace(found, manifest=KEPT.manifest) == KEPT
    assert {one.name for one in found.manifest.members} == LIMITS.keys() - {"manifest.json"}
    assert "not forgery" in found.manifest.note
    for form in (Form.JSON, Form.TABLE):
        assert rendered(found.readout, form) == rendered(KEPT.readout, form)
    try:
        speak(HINDI)
        assert "घड़ी" in rendered(found.readout, Form.TABLE).decode()
    finally:
        speak(ENGLISH)


def test_whatever_a_meter_says_can_be_opened_again(tmp_path: Path) -> None:
    cells = ("\x1b[2J", Words("\x07", "\u202e"), float("nan"), Decimal("Infinity"), Decimal("9e146"), "x" * 70_000)
    columns = tuple(Column(f"c{place}", f"\x1bc{place}") for place in range(len(cells)))
    table = Table("now", "Now", columns, (cells,), record=True, notes=("a\nb",))
    readout = replace(KEPT.readout, tables=(table,), missing=("\x00",))
    saving = Saving(manifest=KEPT.manifest)
    with (tmp_path / "a.session").open("wb") as file:
        write_session_file(file, saving.file(readout, KEPT.transcript, SettingsError("\x1b]0;x")))
    found = read_session_file(tmp_path / "a.session")
    assert found.manifest.broken == "\ufffd]0;x"
    assert found.readout.missing == ("\ufffd",)
    (row,) = found.readout.tables[0].rows
    assert row[:5] == ("\ufffd[2J", "\ufffd", "nan", "Infinity", Decimal("9e146"))
    assert len(str(row[5])) == 1 << 16


def test_what_is_there_already_stays_and_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "a.session"
    place.write_text("mine")
    with pytest.raises(SettingsError, match=r"is there already \(give --save another name"), new_file(place):
        pytest.fail("it was opened")
    assert place.read_text() == "mine"
    with contextlib.suppress(KeyError), new_file(tmp_path / "b.session") as file:
        file.write(b"half")
        raise KeyError
    assert [one.name for one in tmp_path.iterdir()] == ["a.session"]
    with (
        pytest.raises(SettingsError, match=r"with --save, --trace writes to a file"),
        kept_transcript(Path("/dev/null")),
    ):
        pytest.fail("it was taken")
    with pytest.raises(SettingsError, match="can't be written"), new_file(tmp_path / "none" / "c.session"):
        pytest.fail("it was opened")


def test_what_is_too_large_to_be_read_again_is_not_written() -> None:
    answer = Answer(READ_AT, 7, "1.0.99.1.0.255", 2, None, bytes(LIMITS["answers.json"] // 2))
    with pytest.raises(SettingsError, match="read less at once"):
        write_session_file(io.BytesIO(), replace(KEPT, answers=(answer,)))


def test_a_damaged_file_is_told_apart_from_one_that_is_none(tmp_path: Path) -> None:
    whole = zipped(members())
    assert "its end is missing" in refusal(tmp_path, whole[:-100])
    assert "it is no session file" in refusal(tmp_path, b"")
    assert "it is no session file" in refusal(tmp_path, b"PK" * 100)
    for info in zipfile.ZipFile(io.BytesIO(whole)).infolist():
        at = info.header_offset + 30 + len(info.filename) + info.compress_size // 2
        altered = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        assert "it is damaged: " in refusal(tmp_path, altered)
    other = members() | {"transcript.txt": b"# another\n"}
    assert "transcript.txt is not what manifest.json says: its SHA-256 is another" in refusal(tmp_path, zipped(other))


def test_a_zip_bomb_or_a_zip_of_others_is_not_unpacked(tmp_path: Path) -> None:
    bomb = members() | {"tables.json": bytes(LIMITS["tables.json"] + 1)}
    assert "tables.json unpacks to more than 16777216 octets" in refusal(tmp_path, zipped(bomb))
    for name in ("../../etc/passwd", "/tmp/x", "\x1b[2J"):
        assert "it is no session file: it holds" in refusal(tmp_path, zipped(members() | {name: b""}))
    crowd = dict.fromkeys(map(str, range(2000)), b"")
    assert "its directory is larger than that of four members" in refusal(tmp_path, zipped(crowd))
    assert "is packed in a way" in refusal(tmp_path, zipped(members(), compression=zipfile.ZIP_BZIP2))
    comment = zipped(members())[:-2] + b"\x04\x00abcd"
    assert "it is no session file" in refusal(tmp_path, comment)


@pytest.mark.parametrize("name", ["manifest", "tables", "answers"])
@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"[" * 60_000, "nested too deep"),
        (b"\xff\xfe", "is no JSON"),
        (b'{"a": NaN}', "is no JSON"),
        (b"1" * 10_000, "is no JSON"),
        (b"{}", "manifest.json does not say its format|is not as a session file has it"),
        (b"[1, 2]", "manifest.json does not say its format|is not as a session file has it"),
    ],
)
def test_json_that_is_none_of_ours_is_refused(tmp_path: Path, name: str, octets: bytes, said: str) -> None:
    of = members() | {f"{name}.json": octets}
    if name != "manifest":
        manifest = json.loads(of["manifest.json"])
        for member in manifest["members"]:
            member["sha256"] = hashlib.sha256(of[member["name"]]).hexdigest()
        of["manifest.json"] = json.dumps(manifest).encode()
    told = refusal(tmp_path, zipped(of))
    assert any(each in told for each in said.split("|")), told


CHANGES: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("it has format 2, this program knows format 1", lambda of: of["manifest"].update(format=2)),
    ("does not say its format", lambda of: of["manifest"].update(format="1")),
    ("is not as a session file has it", lambda of: of["manifest"].update(more=1)),
    ("does not say once what answers.json is", lambda of: of["manifest"]["members"].pop(1)),
    ("holds control characters", lambda of: of["manifest"]["meter"].update(serial="\x1b]0;x\x07")),
    (
        "holds control characters",
        lambda of: of["tables"]["readout"]["tables"][0]["rows"][0].__setitem__(2, [4, "a\u202eb"]),
    ),
    ("holds control characters", lambda of: of["tables"]["readout"]["tables"][0].update(title="x\n")),
    ("its time zone is none", lambda of: of["tables"]["readout"].update(zone="../../etc/passwd")),
    ("in a year that is none", lambda of: of["manifest"].update(read_at="0001-01-01T00:00:00+00:00")),
    ("is not as a session file has it", lambda of: of["manifest"].update(read_at="yesterday")),
    (
        "two of its tables have one name",
        lambda of: of["tables"]["readout"]["tables"].append(of["tables"]["readout"]["tables"][0]),
    ),
    ("another number of cells", lambda of: of["tables"]["readout"]["tables"][0]["rows"][1].pop()),
    ("its marks are not those of its rows", lambda of: of["tables"]["readout"]["tables"][0]["marks"].pop()),
    ("a mark that is none", lambda of: of["tables"]["readout"]["tables"][0]["marks"][1].append("[/b]")),
    ("for no reason of ours", lambda of: of["tables"]["readout"]["tables"][0]["suspects"][0].update(reason="mine")),
    (
        "a number that no meter says",
        lambda of: of["tables"]["readout"]["tables"][0]["rows"][0].__setitem__(1, [1, "1e999999999"]),
    ),
    (
        "a number that no meter says",
        lambda of: of["tables"]["readout"]["tables"][0]["rows"][0].__setitem__(1, [1, "NaN"]),
    ),
    ("a number that is none", lambda of: of["tables"]["readout"]["tables"][1]["rows"][0].__setitem__(0, [3, 87654.5])),
    (
        "is not as a session file has it",
        lambda of: of["tables"]["readout"]["tables"][0]["rows"][0].__setitem__(1, [9, "1"]),
    ),
    ("a time without a zone", lambda of: of["tables"]["readout"]["tables"][0].update(start="2026-01-31T11:00:00")),
    ("intervals without a length", lambda of: of["tables"]["readout"]["tables"][0].update(interval_s=0)),
    (
        "an interval that starts at no time",
        lambda of: of["tables"]["readout"]["tables"][0]["rows"][0].__setitem__(0, None),
    ),
    ("a record has one row", lambda of: of["tables"]["readout"]["tables"][1].update(rows=[])),
    ("of an object without a logical name", lambda of: of["answers"]["answers"][0].update(obis="1.0.999")),
    ("an answer came at no time", lambda of: of["answers"]["answers"][0].update(at="2026-01-31T11:00:00")),
    ("is not as a session file has it", lambda of: of["answers"]["answers"][0].update(octets="0g")),
    ("50001 answers", lambda of: of["answers"].update(answers=of["answers"]["answers"][:1] * 50_001)),
]


@pytest.mark.parametrize(("said", "change"), CHANGES, ids=range(len(CHANGES)))
def test_a_forged_file_with_right_sums_is_held_to_what_can_be_shown(
    tmp_path: Path, said: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    assert said in refusal(tmp_path, forged(change))


def test_a_folder_a_device_or_nothing_is_no_session_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "none"):
        with pytest.raises(SettingsError, match="can't be read"):
            read_session_file(place)
