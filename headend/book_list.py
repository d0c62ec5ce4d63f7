"""Meters for a book from a meter list: the registry's columns (CSV), of which a book needs name and address alone.

The one rule: a fault is told by its line, and nothing of the keys in it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from headend.book import KEYS, Entry
from headend.meter_list import COLUMNS
from profiles.errors import HeadEndError, SettingsError

TOLD: Final = ("name", "serial", "address", "meter_type", "system_title")
IGNORED: Final = tuple(column for column in COLUMNS if column not in (*TOLD, *KEYS))
"""Columns of the registry's list that a book has no use for."""
_NEEDED: Final = ("name", "address")


def read_list(file: Path) -> list[Entry]:
    """The meters of a list. Raises SettingsError, which names file and line."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return _entries(csv.reader(lines, strict=True), file)
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise SettingsError(f"{file} is no meter list", remedy="it is CSV in UTF-8") from None


def _entries(rows: Iterable[list[str]], file: Path) -> list[Entry]:
    numbered = enumerate(rows, 1)
    _, header = next(numbered, (1, []))
    columns = [column.strip().lower() for column in header]
    _check_columns(columns, f"{file}, line 1")
    found: dict[str, Entry] = {}
    for line, cells in numbered:
        if not cells:
            continue
        where = f"{file}, line {line}"
        entry = _entry(columns, cells, where)
        if entry.name in found:
            raise SettingsError(f"{where}: {entry.name} comes twice", remedy="leave one of them")
        found[entry.name] = entry
    return list(found.values())


def _check_columns(columns: list[str], where: str) -> None:
    known = (*TOLD, *IGNORED, *KEYS)
    for column in columns:
        if column not in known or columns.count(column) > 1:
            message = "comes twice" if column in known else "is not known"
            raise SettingsError(f"{where}: column {column[:60]!r} {message}", remedy=f"there are {', '.join(known)}")
    for column in _NEEDED:
        if column not in columns:
            raise SettingsError(f"{where}: there is no column {column}", remedy=f"needed are {' and '.join(_NEEDED)}")


def _entry(columns: list[str], cells: list[str], where: str) -> Entry:
    if len(cells) != len(columns):
        raise SettingsError(f"{where}: {len(cells)} cells, the first line has {len(columns)}: see commas and quotes")
    row = {column: cell.strip() for column, cell in zip(columns, cells, strict=True) if cell.strip()}
    told = {name: row.get(name, "") for name in TOLD}
    entry = Entry(**told, keys={name: row[name] for name in KEYS if name in row})
    try:
        entry.check()
    except HeadEndError as error:
        raise error.at(meter=where) from None
    return entry
