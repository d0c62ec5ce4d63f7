"""Rows of the event tables: CSV files that are either read whole and checked, or refused by file and line.

The one rule: a row says where it stands, so that whatever is found wrong with it later can be told to who wrote it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from profiles.errors import SettingsError

_MAX_FILE: Final = 256 * 1024
_DEVANAGARI: Final = range(0x0900, 0x0980)

_T = TypeVar("_T", bound=str)


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its cells by column, stripped."""

    file: Path
    line: int
    cells: dict[str, str]

    def wrong(self, message: str) -> SettingsError:
        """The error that names this line."""
        return SettingsError(f"{self.file}:{self.line}: {message}")

    def text(self, column: str) -> str:
        """What must not be empty."""
        if not self.cells[column]:
            raise self.wrong(f"{column} is empty")
        return self.cells[column]

    def hindi(self, column: str) -> str:
        """What must have Devanagari letters in it."""
        text = self.text(column)
        if not any(ord(letter) in _DEVANAGARI for letter in text):
            raise self.wrong(f"{column}: {text!r} has no Devanagari letter")
        return text

    def integer(self, column: str, low: int, high: int) -> int:
        """A whole number, both ends allowed."""
        text = self.cells[column]
        if not (text.isascii() and text.isdecimal() and len(text) <= len(str(high)) and low <= int(text) <= high):
            raise self.wrong(f"{column}: {text!r} is not a whole number from {low} to {high}")
        return int(text)

    def optional_integer(self, column: str, low: int, high: int) -> int | None:
        """A whole number, or None for an empty cell."""
        return self.integer(column, low, high) if self.cells[column] else None

    def choice(self, column: str, choices: tuple[_T, ...]) -> _T:
        """One of these words."""
        for choice in choices:
            if choice == self.cells[column]:
                return choice
        raise self.wrong(f"{column}: {self.cells[column]!r} is none of {', '.join(choices)}")


def read_rows(file: Path, columns: tuple[str, ...]) -> list[Row]:
    """All rows of a CSV file (UTF-8, `columns` as its first line). Raises SettingsError naming file and line."""
    try:
        with file.open("rb") as stream:
            octets = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None
    if len(octets) > _MAX_FILE:
        raise SettingsError(f"{file}: larger than {_MAX_FILE} octets, so not an event table")
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{file}:{line}: not UTF-8") from None
    return list(_rows(file, text.splitlines(), columns))


def _rows(file: Path, lines: list[str], columns: tuple[str, ...]) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True)
    try:
        if tuple(next(reader, ())) != columns:
            raise SettingsError(f"{file}:1: the columns must be {','.join(columns)}")
        for cells in reader:
            if len(cells) != len(columns):
                raise SettingsError(f"{file}:{reader.line_num}: {len(cells)} columns in place of {len(columns)}")
            yield Row(file, reader.line_num, dict(zip(columns, map(str.strip, cells), strict=True)))
    except csv.Error as error:
        raise SettingsError(f"{file}:{reader.line_num}: not CSV: {error}") from None
