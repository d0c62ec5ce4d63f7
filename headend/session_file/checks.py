"""Whether what a session file holds can be shown and imported at all.

The one rule: what is shown goes to a terminal, and what is computed with goes to loops and arrays: texts without
control characters, numbers of a believable size, times with a zone, rows as wide as their table. A file that anybody
may have written is held to it here, once, so that nothing behind has to doubt.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from headend.reading.tables import UNSEEN, Table
from headend.session_file.contents import Answer, Manifest, Tables
from headend.session_file.texts import LONGEST_TEXT
from profiles.errors import SettingsError
from profiles.intervals import IN_THE_FUTURE, NO_DATE_TIME, OFF_THE_GRID, OTHER_COLUMNS, TOO_OLD, Quality
from profiles.objects import Obis

MOST_COLUMNS: Final = 600
MOST_ROWS: Final = 200_000
MOST_ANSWERS: Final = 50_000
LONGEST_PERIOD_S: Final = 86_400
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_MOST: Final = 10**30
_DIGITS: Final = 200
"""Before and behind the point: the largest number of a meter with the largest scaler has less."""
_REASONS: Final = frozenset((NO_DATE_TIME, TOO_OLD, IN_THE_FUTURE, OFF_THE_GRID, OTHER_COLUMNS))
_MARKS: Final = frozenset(mark.name.lower() for mark in Quality if mark.name)


def check_contents(manifest: Manifest, tables: Tables, answers: Sequence[Answer], transcript: bytes) -> None:
    """Raises SettingsError for the first thing that is not as it must be."""
    readout = tables.readout
    for value in _leaves((dataclasses.replace(readout, tables=()), manifest, *tables.hindi, *tables.hindi.values())):
        _check_value("it", value)
    try:
        ZoneInfo(readout.zone)
    except (ValueError, OSError, LookupError):
        raise SettingsError("its time zone is none") from None
    if not _FIRST <= manifest.read_at < _LAST or not _FIRST <= readout.read_at < _LAST:
        raise SettingsError("it says that it was read in a year that is none")
    names = [table.what for table in readout.tables]
    if len(names) != len(set(names)):
        raise SettingsError("two of its tables have one name")
    for table in readout.tables:
        _check_table(table)
    _check_answers(answers)
    if not transcript.isascii() or b"\x1b" in transcript:
        raise SettingsError("its transcript is none")


def _check_answers(answers: Sequence[Answer]) -> None:
    if len(answers) > MOST_ANSWERS:
        raise SettingsError(f"{len(answers)} answers are more than a reading has ({MOST_ANSWERS})")
    for answer in answers:
        if answer.at.tzinfo is None or not _FIRST <= answer.at < _LAST:
            raise SettingsError("an answer came at no time")
        try:
            Obis.parse(answer.obis)
        except ValueError:
            raise SettingsError("an answer is of an object without a logical name") from None


def _check_table(table: Table) -> None:
    name = table.what[:20] if table.what.isprintable() else "?"
    if not 0 < len(table.columns) <= MOST_COLUMNS or len(table.rows) > MOST_ROWS:
        raise SettingsError(f"table {name}: {len(table.columns)} columns, {len(table.rows)} rows")
    for value in _leaves(dataclasses.replace(table, rows=())):
        _check_value(f"table {name}", value)
    if any(len(row) != len(table.columns) for row in table.rows):
        raise SettingsError(f"table {name}: a row has another number of cells than there are columns")
    if table.marks and len(table.marks) != len(table.rows):
        raise SettingsError(f"table {name}: its marks are not those of its rows")
    if not _MARKS.issuperset(mark for marks in table.marks for mark in marks):
        raise SettingsError(f"table {name}: a mark that is none")
    if not _REASONS.issuperset(suspect.reason for suspect in table.suspects):
        raise SettingsError(f"table {name}: a row that is not believed for no reason of ours")
    if table.record and len(table.rows) != 1:
        raise SettingsError(f"table {name}: a record has one row")
    for row in table.rows:
        for cell in row:
            _check_value(f"table {name}", cell)
    if table.is_load:
        _check_load(name, table)


def _check_load(name: str, table: Table) -> None:
    if not 0 < (table.interval_s or 0) <= LONGEST_PERIOD_S or table.start is None or table.end is None:
        raise SettingsError(f"table {name}: intervals without a length, or without a beginning and an end")
    if any(not isinstance(row[0], datetime) for row in table.rows):
        raise SettingsError(f"table {name}: an interval that starts at no time")


def _check_value(where: str, value: Any) -> None:
    if isinstance(value, str) and (len(value) > LONGEST_TEXT or UNSEEN.search(value)):
        raise SettingsError(f"{where}: a text that is too long, or holds control characters")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise SettingsError(f"{where}: a time without a zone")
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{where}: a number that is none")
    if isinstance(value, Decimal) and not _is_usual(value):
        raise SettingsError(f"{where}: a number that no meter says")
    if isinstance(value, int) and abs(value) > _MOST:
        raise SettingsError(f"{where}: a number that no meter says")


def _is_usual(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_DIGITS and value.adjusted() <= _DIGITS


def _leaves(value: Any) -> Iterator[Any]:
    """Every plain value in dataclasses and tuples."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _leaves(getattr(value, field.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _leaves(each)
    else:
        yield value
