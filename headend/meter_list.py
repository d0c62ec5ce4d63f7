"""The meter list: a CSV file of meters and their keys, read a row at a time, every fault with line, column and remedy.

The one rule: a cell's text never appears in a fault when its column is secret. Columns, in any order, by the first
line; those marked * must be there and filled:

    name*             what people call the meter; the identity under which it is found again
    serial*           as on its nameplate
    address*          tcp://host:4059
    meter_type*       a type that the program knows, such as is15959-1ph, or with quirks is15959-1ph+no-release
    commissioned_at*  when its first interval began: 2026-01-01, 2026-01-01T00:00 (local time) or with +05:30
    circle, division, feeder, transformer                   where it hangs: organisation and grid above it
    consumer_id       whose it is
    segment           meters that are collected together; without it: those behind one host and port, else of one
                      transformer, else up to 300 of the others
    system_title      16 hex digits
    device_id         logical device name
    encryption_key, authentication_key, master_key          32 hex digits (64 in security suite 2)
    lls_secret, hls_secret                                  the text itself, or hex: and hex digits

An empty cell leaves alone what is stored. Lines are UTF-8, comma-separated.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from drivers.address import parse_address
from drivers.dlms.security import Key, Secret
from headend.keys import secret_of
from headend.vault import KeyType
from profiles.errors import SettingsError
from profiles.meter_type import MeterType

REQUIRED: Final = ("name", "serial", "address", "meter_type", "commissioned_at")
PLACE: Final = ("circle", "division", "feeder", "transformer", "consumer_id")
OPTIONAL: Final = (*PLACE, "segment", "system_title", "device_id")
KEY_COLUMNS: Final[Mapping[str, KeyType]] = {
    "encryption_key": "encryption",
    "authentication_key": "authentication",
    "master_key": "master",
    "lls_secret": "lls_secret",
    "hls_secret": "hls_secret",
}
COLUMNS: Final = (*REQUIRED, *OPTIONAL, *KEY_COLUMNS)

MAX_FAULTS: Final = 50
"""Faults that are kept and told; after that many the rest of the file is not read."""
_MAX_TEXT: Final = 500


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one cell or row of the list."""

    line: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}{', ' + self.column if self.column else ''}: {self.message}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the list, or a change of one meter. None: the cell was empty or the column is not there."""

    line: int
    name: str
    serial: str | None = None
    address: str | None = None
    meter_type: str | None = None
    commissioned_at: datetime | None = None
    circle: str | None = None
    division: str | None = None
    feeder: str | None = None
    transformer: str | None = None
    consumer_id: str | None = None
    segment: str | None = None
    system_title: bytes | None = None
    device_id: str | None = None
    keys: Mapping[KeyType, Key | Secret] = field(default_factory=dict)


class MeterList:
    """Iterates over the good rows of a list once; `faults` fills meanwhile and says what the others lack.

    Whether a meter comes twice, the database is asked: it can hold a million names, this need not.
    """

    def __init__(self, lines: Iterable[str], meter_types: Mapping[str, MeterType]) -> None:
        self.faults: list[Fault] = []
        self._lines = lines
        self._types = meter_types

    def fault(self, line: int, column: str, message: str) -> None:
        """Note a fault; also for who finds one later, in the database."""
        self.faults.append(Fault(line, column, message))

    def __iter__(self) -> Iterator[Entry]:
        """Raises SettingsError when the file cannot be read as such a list at all."""
        reader = csv.reader(self._lines, strict=True)
        try:
            header = [cell.strip().removeprefix("\ufeff").lower() for cell in next(reader, [])]
            _check_header(header)
            for cells in reader:
                if len(self.faults) >= MAX_FAULTS:
                    return
                entry = self._entry(reader.line_num, header, [cell.strip() for cell in cells]) if cells else None
                if entry is not None:
                    yield entry
        except csv.Error as error:
            raise SettingsError(f"the meter list is not CSV at line {reader.line_num}: {error}") from None
        except UnicodeDecodeError:
            raise SettingsError(
                f"the meter list is not UTF-8 after line {reader.line_num}", remedy="save it as UTF-8"
            ) from None

    def _entry(self, line: int, header: list[str], cells: list[str]) -> Entry | None:
        if len(cells) != len(header):
            self.fault(line, "", f"{len(cells)} cells, the first line has {len(header)}: see commas and quotes")
            return None
        row = dict(zip(header, cells, strict=True))
        before = len(self.faults)
        values: dict[str, Any] = {column: self._value(line, column, row) for column in COLUMNS}
        if len(self.faults) > before:
            return None
        keys = {KEY_COLUMNS[c]: values[c] for c in KEY_COLUMNS if values[c] is not None}
        return Entry(line=line, keys=keys, **{column: values[column] for column in (*REQUIRED, *OPTIONAL)})

    def _value(self, line: int, column: str, row: Mapping[str, str]) -> object:
        text = row.get(column, "")
        if not text:
            if column in REQUIRED:
                self.fault(line, column, "is empty: fill it in")
            return None
        try:
            return _parsed(column, text, row.get("meter_type", ""), self._types)
        except SettingsError as error:
            self.fault(line, column, str(error))
            return None


def entry_of(cells: Mapping[str, str], meter_types: Mapping[str, MeterType]) -> Entry:
    """A change of one meter from cells by column, `name` among them. SettingsError names the column."""
    values: dict[str, Any] = {}
    for column, text in cells.items():
        try:
            values[column] = _parsed(column, text, cells.get("meter_type", ""), meter_types)
        except SettingsError as error:
            raise error.at(asked=column) from None
    return Entry(line=1, **values)


def _parsed(column: str, text: str, name: str, meter_types: Mapping[str, MeterType]) -> object:
    """What a filled cell says; `name`: of the row's meter type, in whose zone times are."""
    if len(text) > _MAX_TEXT:
        raise SettingsError(f"is longer than {_MAX_TEXT} characters")
    if column == "meter_type":
        return _known_type(text, meter_types)
    if column == "commissioned_at":
        return _moment(text, meter_types[name].zone if name in meter_types else "UTC")
    return _PARSERS.get(column, str)(text)


def _known_type(text: str, meter_types: Mapping[str, MeterType]) -> str:
    """The name itself; SettingsError when there is no such meter type, or none of its quirks has that name."""
    try:
        meter_types[text]
    except KeyError:
        known = ", ".join(sorted(meter_types))
        raise SettingsError(f"no meter type {text!r} is known", remedy=f"known: {known}") from None
    return text


def _check_header(header: list[str]) -> None:
    known = f"the columns are {', '.join(COLUMNS)}"
    if not header:
        raise SettingsError("the meter list is empty", remedy=f"the first line names the columns: {known}")
    for column in header:
        if column not in COLUMNS:
            raise SettingsError(f"the meter list, line 1: there is no column {column[:60]!r}", remedy=known)
        if header.count(column) > 1:
            raise SettingsError(f"the meter list, line 1: column {column} comes twice", remedy="leave one of them")
    for column in REQUIRED:
        if column not in header:
            raise SettingsError(f"the meter list, line 1: column {column} is missing", remedy=known)


def _address(text: str) -> str:
    parse_address(text)
    return text


def _system_title(text: str) -> bytes:
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        octets = b""
    if len(octets) != 8:
        raise SettingsError(f"{text[:40]!r} is not a system title", remedy="write its 8 octets as 16 hex digits")
    return octets


@lru_cache(maxsize=1024)
def _moment(text: str, zone: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise SettingsError(f"{text[:40]!r} is not a date", remedy="write it as 2026-01-01T00:00+05:30") from None
    if not 2000 <= moment.year < 2100:
        raise SettingsError(f"{text[:40]!r} is not in 2000 to 2099", remedy="see year and order of the date")
    return moment


_PARSERS: Final[Mapping[str, Callable[[str], object]]] = {
    "address": _address,
    "system_title": _system_title,
    "encryption_key": Key.from_hex,
    "authentication_key": Key.from_hex,
    "master_key": Key.from_hex,
    "lls_secret": secret_of,
    "hls_secret": secret_of,
}
