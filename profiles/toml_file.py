"""A TOML file and the line of each key in it, for errors that name both."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from profiles.errors import SettingsError

_MAX_FILE: Final = 256 * 1024
_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([\w.\s\"-]+?)\s*\]\]?\s*(?:#.*)?", re.ASCII)
_KEY: Final = re.compile(r"\s*(\"[^\"]+\"|[\w-]+(?:\.[\w-]+)*)\s*=", re.ASCII)

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
    def read(cls, path: Path, what: str) -> Source:
        """A whole file, `what` it is to be. Raises SettingsError if it cannot be read, is too large or not TOML."""
        try:
            with path.open("rb") as file:
                octets = file.read(_MAX_FILE + 1)
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
        if len(octets) > _MAX_FILE:
            raise SettingsError(f"{path}: larger than {_MAX_FILE} octets, so not {what}")
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
