"""TOML files whose every value is checked, with errors that name file, line and key.

The one rule: a key that nobody asked for is an error, so that a misspelt one does not pass for a default.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from profiles.columns import parse_attribute, parse_columns
from profiles.errors import SettingsError
from profiles.meter_type import Column
from profiles.objects import AttributeRef, Obis

_MAX_FILE: Final = 256 * 1024
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([\w.\s\"-]+?)\s*\]\]?\s*(?:#.*)?", re.ASCII)
_KEY: Final = re.compile(r"\s*(\"[^\"]+\"|[\w-]+(?:\.[\w-]+)*)\s*=", re.ASCII)

_T = TypeVar("_T")
Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands: the keys of the tables around it and its own; in an array of tables also the index."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table of a file, and the line of each key in it, counted from 1."""

    path: Path
    table: dict[str, Any]
    lines: Mapping[Place, int]
    text: Sequence[str]

    @classmethod
    def read(cls, path: Path) -> Source:
        """A whole file. Raises SettingsError if it cannot be read or is not TOML."""
        try:
            with path.open("rb") as file:
                octets = file.read(_MAX_FILE + 1)
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
        if len(octets) > _MAX_FILE:
            raise SettingsError(f"{path}: larger than {_MAX_FILE} octets, so not a meter type")
        try:
            text = octets.decode()
            table = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not TOML: {error}") from None
        return cls(path, table, dict(_lines(text.splitlines())), text.splitlines())

    def below(self, *place: str | int) -> Source:
        """The table at `place` as a source of its own; it must be there."""
        table: Any = self.table
        for key in place:
            table = table[key]
        depth = len(place)
        lines = {key[depth:]: line for key, line in self.lines.items() if key[:depth] == place}
        return Source(self.path, table, lines, self.text)

    def line(self, place: Place, element: str = "") -> int | None:
        """The line of a key, or in its list that of the element that begins so; None where the key is not here."""
        line = self.lines.get(place)
        if line is None or not element:
            return line
        return next((n for n, text in enumerate(self.text[line - 1 :], line) if f'"{element}' in text), line)


def _lines(text: Sequence[str]) -> Iterator[tuple[Place, int]]:
    """Each key of a TOML text with its line; inline tables and lists are on the line of their key."""
    table: Place = ()
    counts: dict[Place, int] = {}
    for number, line in enumerate(text, 1):
        if header := _HEADER.fullmatch(line):
            names = tuple(name.strip().strip('"') for name in header[2].split("."))
            if header[1] == "[[":
                counts[names] = counts.get(names, -1) + 1
            table = _indexed(names, counts)
            yield table, number
        elif key := _KEY.match(line):
            quoted = key[1].startswith('"')
            yield (*table, *((key[1].strip('"'),) if quoted else key[1].split("."))), number


def _indexed(names: tuple[str, ...], counts: Mapping[Place, int]) -> Place:
    place: list[str | int] = []
    for depth, name in enumerate(names, 1):
        place.append(name)
        if names[:depth] in counts:
            place.append(counts[names[:depth]])
    return tuple(place)


class Keys:
    """One table: hands out checked values by key and, at the end, refuses keys that nobody asked for.

    The table may be merged of several sources; an error names the last of them that has the key, or the table.
    """

    def __init__(self, sources: Sequence[Source], place: Place, table: dict[str, Any]) -> None:
        self._sources = sources
        self._place = place
        self._table = table
        self._left = dict.fromkeys(table)

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def wrong(self, *key: str | int, message: str, element: str = "") -> SettingsError:
        """The error that the value of `key`, or an element of it, is not as it must be."""
        place = (*self._place, *key)
        where = str(self._sources[-1].path)
        for end in range(len(place), 0, -1):
            found = [source for source in self._sources if source.line(place[:end]) is not None]
            if found:
                where = f"{found[-1].path}:{found[-1].line(place[:end], element if end == len(place) else '')}"
                break
        return SettingsError(f"{where}: {'.'.join(map(str, place))}: {message}")

    def take(self, key: str, default: object = None) -> Any:
        """The value of `key` as TOML has it; without a default the key must be there."""
        self._left.pop(key, None)
        value = self._table.get(key, default)
        if value is None:
            raise self.wrong(key, message="is missing")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self.take(key, default)
        if not isinstance(value, str) or not (value.strip() or value == default):
            raise self.wrong(key, message="must be text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; none where the key is not there."""
        values = self.take(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.wrong(key, message="must be a list of texts")
        return tuple(values)

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value = self.take(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(key, message=f"must be a whole number from {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float, default: float) -> float:
        value = self.take(key, default)
        if type(value) not in (int, float) or not low <= value <= high:
            raise self.wrong(key, message=f"must be a number from {low:g} to {high:g}")
        return float(value)

    def choice(self, key: str, choices: tuple[_T, ...], default: _T | None = None) -> _T:
        value = self.take(key, default)
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        raise self.wrong(key, message=f"must be one of {', '.join(map(_word, choices))}")

    def flag(self, key: str, default: bool) -> bool:
        return self.choice(key, (False, True), default)

    def obis(self, key: str) -> Obis:
        try:
            return Obis.parse(self.text(key))
        except ValueError as error:
            raise self.wrong(key, message=str(error)) from None

    def optional_obis(self, key: str) -> Obis | None:
        return self.obis(key) if key in self else None

    def attribute(self, key: str) -> AttributeRef:
        try:
            return parse_attribute(self.text(key))
        except ValueError as error:
            raise self.wrong(key, message=str(error)) from None

    def reference(self, key: str) -> AttributeRef:
        """The attribute that the key itself names."""
        try:
            return parse_attribute(key)
        except ValueError as error:
            raise self.wrong(key, message=str(error)) from None

    def optional_attribute(self, key: str) -> AttributeRef | None:
        return self.attribute(key) if key in self else None

    def columns(self, key: str) -> tuple[Column, ...]:
        """Columns, each object once; none where the key is not there."""
        found: dict[AttributeRef, Column] = {}
        for text in self.texts(key):
            try:
                for column in parse_columns(text):
                    object_ = AttributeRef(*column.captured[:3])
                    if object_ in found:
                        raise ValueError(f"names {object_} twice")
                    found[object_] = column
            except ValueError as error:
                raise self.wrong(key, message=str(error), element=text) from None
        return tuple(found.values())

    def table(self, key: str) -> Keys:
        """The table under `key`; an empty one where the key is not there."""
        table = self.take(key, {})
        if not isinstance(table, dict):
            raise self.wrong(key, message=f"must be a table [{key}]")
        return Keys(self._sources, (*self._place, key), table)

    def tables(self, key: str) -> dict[str, Keys]:
        """The named tables under `key`; none where the key is not there."""
        tables = self.table(key)
        for name, table in tables.items():
            if not isinstance(table, dict) or not _NAME.fullmatch(name):
                raise self.wrong(key, name, message="must be a table, its name small letters, digits and underscores")
        return {name: tables.table(name) for name, _ in tables.items()}

    def items(self) -> list[tuple[str, Any]]:
        """All keys with their values as TOML has them."""
        return list(self._table.items())

    def close(self) -> None:
        """Raise SettingsError for the first key that nobody asked for."""
        for key in self._left:
            raise self.wrong(key, message="is not a key here")


def _word(choice: object) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)
