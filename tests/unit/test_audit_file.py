"""The record of what was changed on meters: nothing in it can be altered unseen, and it bounds how much is done."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headend.audit_file import AuditFile
from profiles.errors import SettingsError

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def audit(tmp_path: Path) -> AuditFile:
    return AuditFile(tmp_path / "state" / "audit.jsonl")


def test_each_line_says_when_and_who_and_is_bound_to_the_one_before(audit: AuditFile) -> None:
    assert audit.entries() == []
    audit.append({"act": "set", "obis": "1.0.0.8.4.255"}, NOW)
    audit.append({"act": "call", "obis": "0.0.96.3.10.255"}, NOW + HOUR)
    first, second = audit.entries()
    assert (first["act"], first["at"], first["previous"]) == ("set", "2026-01-01T12:00:00+00:00", "0" * 64)
    assert first["user"]
    assert second["previous"] == first["signature"] != second["signature"]
    for path in (audit.path, audit.path.with_suffix(".key")):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("alter", "number"),
    [
        (lambda lines: [lines[0].replace("set", "get"), *lines[1:]], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[1], lines[0], lines[2]], 1),
        (lambda lines: [*lines[:2], lines[2][:-20]], 3),
        (lambda lines: [*lines, "{}"], 4),
        (lambda lines: [*lines, "null"], 4),
        (lambda lines: [*lines, "[" * 100_000], 4),
        (lambda lines: [*lines, "\xff"], 4),
    ],
)
def test_an_altered_or_missing_line_is_seen_and_nothing_is_added(audit: AuditFile, alter: object, number: int) -> None:
    for act in ("set", "call", "set"):
        audit.append({"act": act}, NOW)
    assert callable(alter)
    lines = alter(audit.path.read_text().splitlines())
    audit.path.write_text("\n".join(lines) + "\n", encoding="latin-1")
    altered = audit.path.read_bytes()
    with pytest.raises(SettingsError, match=f"line {number} of the audit file .* was altered"):
        audit.entries()
    with pytest.raises(SettingsError, match="was altered"):
        audit.append({"act": "set"}, NOW)
    assert audit.path.read_bytes() == altered


def test_a_record_signed_with_another_key_or_cut_or_taken_away_is_seen(audit: AuditFile, tmp_path: Path) -> None:
    key = audit.path.with_suffix(".key")
    other = AuditFile(tmp_path / "other" / "audit.jsonl")
    for act in ("set", "call", "set"):
        audit.append({"act": act}, NOW)
        other.append({"act": act}, NOW)
    whole, own = audit.path.read_bytes(), key.read_bytes()
    lines = whole.splitlines(keepends=True)
    for content, sealed, words in (
        (whole, other.path.with_suffix(".key").read_bytes(), "line 1 of the audit file .* was altered"),
        (other.path.read_bytes(), own, "line 1 of the audit file .* was altered"),
        (lines[0], own, "the last lines of the audit file .* were taken out"),
        (b"", own, "the last lines of the audit file .* were taken out"),
        (whole, b"none", "holds no key of an audit file"),
    ):
        audit.path.write_bytes(content)
        key.write_bytes(sealed)
        with pytest.raises(SettingsError, match=words):
            audit.append({"act": "set"}, NOW)
    key.unlink()
    audit.path.write_bytes(whole)
    with pytest.raises(SettingsError, match=r"audit\.key of the audit file is not there"):
        audit.append({"act": "set"}, NOW)
    key.write_bytes(own)
    audit.path.unlink()
    with pytest.raises(SettingsError, match="were taken out"):
        audit.entries()
    audit.path.write_bytes(whole)
    assert len(audit.entries()) == 3
    # The power failed after the line was written, and before its signature was kept.
    audit.append({"act": "set"}, NOW)
    key.write_bytes(own)
    audit.append({"act": "call"}, NOW)
    assert len(audit.entries()) == 5


def test_only_so_many_acts_of_a_kind_go_within_a_span(audit: AuditFile) -> None:
    for minute in range(3):
        audit.append_limited({"limited": "guarded"}, NOW + timedelta(minutes=minute), 3, HOUR)
        audit.append({"limited": None}, NOW + timedelta(minutes=minute))
    with pytest.raises(SettingsError, match="3 such acts were done from here within 1 h") as refused:
        audit.append_limited({"limited": "guarded"}, NOW + timedelta(minutes=59), 3, HOUR)
    assert "the next one may be done at" in str(refused.value)
    audit.append_limited({"limited": "guarded"}, NOW + timedelta(minutes=61), 3, HOUR)
    with pytest.raises(SettingsError, match=r"acts\.per_hour is 0"):
        audit.append_limited({"limited": "guarded"}, NOW + 9 * HOUR, 0, HOUR)
    assert len([one for one in audit.entries() if one["limited"]]) == 4


def test_a_place_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    audit = AuditFile(tmp_path / "file" / "audit.jsonl")
    with pytest.raises(SettingsError, match=r"can.t be used: .*--counters names its folder"):
        audit.append({}, NOW)
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match="it is not a file"):
        AuditFile(tmp_path / "folder").entries()


def _append(path: Path) -> None:
    for _ in range(20):
        AuditFile(path).append({"act": "set"}, NOW)


def test_programs_that_write_at_once_make_one_whole_record(audit: AuditFile) -> None:
    writers = [multiprocessing.get_context("spawn").Process(target=_append, args=(audit.path,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(audit.entries()) == 60
    assert json.loads(audit.path.read_text().splitlines()[-1])["previous"] == audit.entries()[-2]["signature"]
