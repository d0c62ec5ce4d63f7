"""Meter lists into and out of the engineer's book."""

from __future__ import annotations

from pathlib import Path

import pytest

from headend.book import Entry
from headend.book_list import read_list
from headend.meter_list import COLUMNS
from profiles.errors import SettingsError

KEY = "00112233445566778899aabbccddeeff"


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "meters.csv"
    file.write_text(text)
    return file


def test_every_column_of_the_registrys_list_is_taken(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, "") | {
        "name": "a",
        "address": "tcp://127.0.0.1:4059",
        "serial": "1",
        "meter_type": "is15959-1ph",
        "encryption_key": KEY,
        "hls_secret": "s",
    }
    file = written(tmp_path, f"\ufeff{','.join(row)}\n{','.join(row.values())}\n\n")
    expected = Entry("a", row["address"], "is15959-1ph", "1", keys={"encryption_key": KEY, "hls_secret": "s"})
    assert read_list(file) == [expected]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: there is no column name"),
        ("name\na\n", "line 1: there is no column address"),
        ("name,address,colour\n", "line 1: column 'colour' is not known"),
        ("name,address,name\n", "line 1: column 'name' comes twice"),
        ("name,address\na\n", "line 2: 1 cells, the first line has 2"),
        ("name,address\na,nowhere\n", "line 2: 'nowhere' is not a meter address"),
        ("name,address\na,tcp://127.0.0.1\na,tcp://127.0.0.2\n", "line 3: a comes twice"),
        ('name,address\n"a,tcp://127.0.0.1\n', "is no meter list"),
    ],
)
def test_a_fault_is_told_by_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_list(written(tmp_path, text))
    assert told in str(refused.value)


def test_a_wrong_key_is_told_by_line_and_column_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read_list(written(tmp_path, f"name,address,encryption_key\na,tcp://127.0.0.1,{KEY}00\n"))
    assert "line 2 · encryption_key" in str(refused.value)
    assert KEY not in str(refused.value)


def test_a_list_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read"):
        read_list(tmp_path / "none.csv")
    (tmp_path / "octets.csv").write_bytes(b"name,address\n\xff,\xff\n")
    with pytest.raises(SettingsError, match="is no meter list"):
        read_list(tmp_path / "octets.csv")
