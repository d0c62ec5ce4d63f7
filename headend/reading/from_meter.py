"""From what the drivers read to tables.

The one rule: nothing that the meter said is left out: what has no name is headed by its OBIS code, and what could not
be read stands there as octets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from drivers.dlms import axdr
from drivers.reading import EventRows, LoadPart, ProfileRows, ValueColumn
from drivers.reading.values import captured_name
from headend.reading.tables import Cell, Column, Table, plain, quality_marks, unique_keys, visible
from headend.words import Words, words
from profiles.channels import CHANNELS, COLUMNS
from profiles.intervals import Extra
from profiles.objects import AttributeRef, Obis
from profiles.units import unit_symbol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CODES: Final = Obis(0, 0, 96, 11, 0)
"""Group E is the log's number."""
_NO_TITLES: Final[Mapping[Obis, str]] = MappingProxyType({})


def local(microseconds: int, zone: ZoneInfo) -> datetime:
    """A moment in µs since 1970 UTC, in the meter's zone."""
    return (_EPOCH + timedelta(microseconds=int(microseconds))).astimezone(zone)


# --- load profiles ---------------------------------------------------------------------------------------------


def load_table(
    what: str, title: str, parts: Sequence[LoadPart], *, interval_s: int, start: datetime, end: datetime, zone: ZoneInfo
) -> Table:
    """The intervals of all parts, the oldest first. What no channel holds has a column of its own."""
    rows: dict[int, tuple[dict[str, Cell], tuple[str, ...]]] = {}
    for part in parts:
        for start_us, cells, marks in _intervals(part, zone):
            rows[start_us] = (cells, marks)
    seen = {name for part in parts for name in part.batch.values}
    channels = [channel for name, channel in COLUMNS.items() if name in seen]
    columns = [Column("start", words("reading.starts"))]
    columns += [Column(one.name, one.name.replace("_", " "), unit_symbol(one.unit)) for one in channels]
    columns += _extra_columns(parts)
    ordered = sorted(rows)
    return Table(
        what,
        title,
        tuple(columns),
        tuple((local(at, zone), *(rows[at][0].get(column.key) for column in columns[1:])) for at in ordered),
        tuple(rows[at][1] for at in ordered),
        interval_s=interval_s,
        start=start.astimezone(zone),
        end=end.astimezone(zone),
        suspects=tuple(suspect for part in parts for suspect in part.batch.suspects),
    )


def _intervals(part: LoadPart, zone: ZoneInfo) -> list[tuple[int, dict[str, Cell], tuple[str, ...]]]:
    batch = part.batch
    found: list[tuple[int, dict[str, Cell], tuple[str, ...]]] = []
    for row, start_us in enumerate(batch.start.tolist()):
        cells: dict[str, Cell] = {}
        for name, values in batch.values.items():
            null = name in batch.nulls and batch.nulls[name][row]
            cells[name] = None if null else plain(Decimal(int(values[row])).scaleb(COLUMNS[name].exponent))
        found.append((start_us, cells, quality_marks(int(batch.quality[row]))))
    by_start = {start_us: cells for start_us, cells, _ in found}
    for extra in batch.extras:
        reference = AttributeRef(extra.class_id, extra.obis, extra.attribute)
        if reference not in CHANNELS and extra.start_us in by_start:
            by_start[extra.start_us][_extra_key(reference)] = _extra_cell(extra, zone)
    return found


def _extra_cell(extra: Extra, zone: ZoneInfo) -> Cell:
    if extra.time_us is not None:
        return local(extra.time_us, zone)
    return extra.raw.hex() if extra.value is None else plain(extra.value)


def _extra_columns(parts: Sequence[LoadPart]) -> list[Column]:
    columns: dict[str, Column] = {}
    for part in parts:
        for extra in part.batch.extras:
            reference = AttributeRef(extra.class_id, extra.obis, extra.attribute)
            if reference not in CHANNELS:
                key = _extra_key(reference)
                unit = "" if extra.unit is None else unit_symbol(extra.unit)
                columns.setdefault(key, Column(key, captured_name(reference).replace("_", " "), unit))
    return list(columns.values())


def _extra_key(reference: AttributeRef) -> str:
    class_id, obis, attribute = reference
    return f"{class_id}/{obis}/{attribute}"


# --- rows of any profile ---------------------------------------------------------------------------------------


def rows_table(
    what: str,
    title: str,
    parts: Sequence[ProfileRows],
    zone: ZoneInfo,
    *,
    record: bool = False,
    span: tuple[int, int] | None = None,
    titles: Mapping[Obis, str] = _NO_TITLES,
) -> Table:
    """Rows that came in parts, the newest part first; shown from the oldest row on.

    `span`: rows stamped outside of [first, end), in µs, are left out. `titles`: of columns that have better ones here
    than everywhere.
    """
    first = next((part for part in parts if len(part)), parts[0] if parts else None)
    columns = _value_columns(first, titles) if first is not None else ()
    rows: list[tuple[Cell, ...]] = []
    marks: list[tuple[str, ...]] = []
    notes: list[str] = []
    for part in reversed(parts):
        for row in range(len(part)):
            if span is None or _stamped_within(part, row, span):
                rows.append(tuple(_cell(part, row, place, zone) for place in range(len(part.columns))))
                marks.append(_row_marks(part, row))
        notes += [words("reading.odd_row", octets=octets.hex()) for _, octets in part.table.odd_rows]
    return Table(what, title, columns, tuple(rows), tuple(marks), record=record and len(rows) == 1, notes=tuple(notes))


def _value_columns(rows: ProfileRows, titles: Mapping[Obis, str] = _NO_TITLES) -> tuple[Column, ...]:
    names = [titles.get(column.captured.obis, column.name) for column in rows.columns]
    units = ["" if column.unit is None else unit_symbol(column.unit) for column in rows.columns]
    return tuple(map(Column, unique_keys(names), [name.replace("_", " ") for name in names], units))


def _cell(rows: ProfileRows, row: int, place: int, zone: ZoneInfo) -> Cell:
    column = rows.columns[place]
    if column.null[row]:
        return None
    if column.unread[row]:
        return f"octets {rows.octets(row, place).hex()}"
    if column.form == "instant":
        return local(column.values[row], zone)
    if column.form == "number":
        exact = column.exact(row)
        return None if exact is None else plain(exact)
    return text_of(column.values[row])


def text_of(value: axdr.Value) -> Cell:
    """A value that is neither number nor time, as text: octets as ASCII where they read as such, else as hex."""
    if isinstance(value, bytes):
        text = value.strip(b"\0 ").decode("latin-1")
        return text if text.isascii() and text.isprintable() else value.hex()
    if isinstance(value, axdr.BitString):
        return value.bits
    if isinstance(value, bool):
        return words("reading.yes" if value else "reading.no")
    if isinstance(value, str):
        return visible(value)
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, axdr.Delta):
        return str(value)
    return f"[{', '.join(str(text_of(one)) for one in value)}]"


def relay_state(state: object) -> Words | None:
    """Of a disconnect control; None for what is no control state."""
    return words(f"reading.relay_{state:d}") if isinstance(state, int) and 0 <= state <= 2 else None


def _row_marks(rows: ProfileRows, row: int) -> tuple[str, ...]:
    bits = int(rows.quality[row])
    for column in rows.columns:
        bits |= int(column.quality[row])
    return quality_marks(bits)


def _stamped_within(rows: ProfileRows, row: int, span: tuple[int, int]) -> bool:
    """Also where no date can be read: nothing is left out for doubt."""
    stamp = None if rows.stamp is None else rows.columns[rows.stamp]
    return stamp is None or not stamp.known[row] or span[0] <= int(stamp.values[row]) < span[1]


# --- events ----------------------------------------------------------------------------------------------------


def events_table(logs: Sequence[EventRows], zone: ZoneInfo, span: tuple[int, int] | None = None) -> Table:
    """The entries of all logs in the order of time; the snapshot of the moment beside what happened.

    `span`: entries outside of [first, end), in µs, are left out.
    """
    beside: dict[str, Column] = {}
    entries: list[tuple[datetime | None, tuple[Cell, ...], dict[str, Cell], tuple[str, ...]]] = []
    notes: list[str] = []
    for log in logs:
        columns = _value_columns(log.rows)
        taken = {log.rows.stamp} | {
            place for place, one in enumerate(log.rows.columns) if _is_code(one) or _is_same(one, log.sequence)
        }
        snapshot = [place for place in range(len(columns)) if place not in taken]
        beside |= {columns[place].key: columns[place] for place in snapshot}
        notes += [words("reading.odd_row", octets=octets.hex()) for _, octets in log.rows.table.odd_rows]
        for row in range(len(log)):
            if span is not None and not _stamped_within(log.rows, row, span):
                continue
            cells = {columns[place].key: _cell(log.rows, row, place, zone) for place in snapshot}
            time, said = _said(log, row, zone)
            entries.append((time, said, cells, _row_marks(log.rows, row)))
    entries.sort(key=lambda entry: entry[0] or datetime.min.replace(tzinfo=UTC))
    heads = ("time", "log", "code", "event", "severity", "number")
    return Table(
        "events",
        words("reading.events"),
        (*(Column(head, words(f"reading.column_{head}")) for head in heads), *beside.values()),
        tuple((*said, *(cells.get(key) for key in beside)) for _, said, cells, _ in entries),
        tuple(marks for *_, marks in entries),
        notes=tuple(notes),
    )


def _is_code(column: ValueColumn) -> bool:
    return column.captured.obis[:4] == _CODES[:4]


def _is_same(column: ValueColumn, other: ValueColumn | None) -> bool:
    return other is not None and column.captured == other.captured


def _said(log: EventRows, row: int, zone: ZoneInfo) -> tuple[datetime | None, tuple[Cell, ...]]:
    """Time, and with it log, code, words, severity and number of an entry."""
    event = log.event(row)
    time = local(log.times.values[row], zone) if log.times is not None and log.times.known[row] else None
    number = log.sequence.exact(row) if log.sequence is not None else None
    name = None if event is None else Words(event.english, event.hindi)
    severity = None if event is None else words(f"reading.severity_{event.severity}")
    code = None if event is None else event.id
    return time, (time, log.group.replace("_", " "), code, name, severity, None if number is None else int(number))
