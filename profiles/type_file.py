"""TOML files whose every value is checked, with errors that name file, line and key.

The one rule: a key that nobody asked for is an error, so that a misspelt one does not pass for a default.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from profiles.columns import parse_attribute, parse_columns
from profiles.errors import SettingsError
from profiles.meter_type import Column
from profiles.objects import AttributeRef, Obis
from profiles.toml_file import Place, Source

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)

_T = TypeVar("_T")


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
