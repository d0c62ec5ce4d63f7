"""Rows of any profile as named, typed columns.

The one rule: a number is the meter's own, whole, beside the power of ten that scales it; nothing is rounded. A cell
that cannot be what its column holds is marked, and its octets stay at hand.

Load profiles become intervals instead (`profiles.intervals`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.reading.layout import Layout, is_value
from drivers.reading.profile import Buffer
from profiles.classes import attribute_name
from profiles.datetimes import instants
from profiles.intervals import Quality
from profiles.meter_type import REGISTER_CLASSES, MeterType, Profile
from profiles.meter_type import Column as Documented
from profiles.obis_names import obis_name
from profiles.objects import AttributeRef, CaptureObject, Obis
from profiles.scaling import exact
from profiles.table import Column, ProfileTable

Form = Literal["number", "instant", "other"]
Mask = NDArray[np.bool_]

_INT64: Final = np.iinfo(np.int64)
_DATE_TIME_OCTETS: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class ValueColumn:
    """One column, one entry a row in every array.

    `values` by `form`. number: int64, or floats where the meter sends such, times ten to the power of `exponent`, in
    `unit` (Blue Book enum; None: not known). instant: int64, µs since 1970 UTC. other: object, as A-XDR has it (str,
    bytes, BitString, Structure …). `null`: rows in which the meter gave null-data. `unread`: rows whose cell is no
    value of this form, or too large; `values` is 0 or None in both. `quality`: bits of `Quality` that hold for cells.
    """

    captured: CaptureObject
    form: Form
    values: NDArray[Any]
    null: Mask
    unread: Mask
    quality: NDArray[np.int32]
    exponent: int = 0
    unit: int | None = None

    @property
    def name(self) -> str:
        """In English, with the attribute where it is not the value; the OBIS code where that has no name."""
        return captured_name(AttributeRef(*self.captured[:3]))

    @property
    def known(self) -> Mask:
        """The rows that have a value."""
        return ~(self.null | self.unread)

    def exact(self, row: int) -> Decimal | None:
        """The number of one row, scaled; None where there is none."""
        if self.form != "number" or not self.known[row]:
            return None
        return exact(self.values[row], self.exponent)

    def take(self, rows: NDArray[np.intp]) -> ValueColumn:
        """The same column of these rows alone."""
        of = {name: getattr(self, name)[rows] for name in ("values", "null", "unread", "quality")}
        return replace(self, **of)


@dataclass(frozen=True, slots=True, eq=False)
class ProfileRows:
    """Rows of one profile, in the order in which the meter gave them.

    `stamp`: which column says when a row was captured; None where none does. `quality`: bits of `Quality` that hold for
    the whole row. `source`: each row's place in `table`, which keeps the octets. What is no row of this profile, such
    as one with another number of columns, stands in `table.odd_rows`.
    """

    profile: Profile
    columns: tuple[ValueColumn, ...]
    stamp: int | None
    quality: NDArray[np.int32]
    source: NDArray[np.intp]
    table: ProfileTable = field(repr=False)

    def __len__(self) -> int:
        return len(self.source)

    def column(self, wanted: AttributeRef | Obis) -> ValueColumn | None:
        """The first column of an attribute, or of the value of an OBIS code; None where the meter captures none."""
        for one in self.columns:
            if one.captured[:3] == wanted or (isinstance(wanted, Obis) and one.captured[1:3] == (wanted, 2)):
                return one
        return None

    def octets(self, row: int, column: int) -> bytes:
        """One cell as it came, its A-XDR tag included."""
        return self.table.cell_octets(int(self.source[row]), column)

    def take(self, rows: NDArray[np.intp]) -> ProfileRows:
        """These rows alone."""
        columns = tuple(one.take(rows) for one in self.columns)
        return replace(self, columns=columns, quality=self.quality[rows], source=self.source[rows])


def captured_name(reference: AttributeRef) -> str:
    """In English, with the attribute where it is not the value; the OBIS code where that has no name."""
    name = obis_name(reference.obis) or str(reference.obis)
    beside = "" if reference.attribute == 2 else attribute_name(reference.class_id, reference.attribute)
    return f"{name} {beside}".rstrip()


def rows_of(buffer: Buffer, table: ProfileTable) -> ProfileRows:
    """The rows of a table that was read from this buffer; marked where nothing proves that they are the meter's."""
    rows = read_values(table, buffer.layout, buffer.profile, buffer.meter_type)
    if not buffer.authenticated:
        rows.quality[:] |= Quality.NOT_AUTHENTICATED
    return rows


def read_values(table: ProfileTable, layout: Layout, profile: Profile, meter_type: MeterType) -> ProfileRows:
    """The rows of a buffer, by what the meter says of its columns and, where it says nothing, by the type."""
    documented = {AttributeRef(*one.captured[:3]): one for one in profile.columns}
    times = [_is_time(one, documented) for one in table.capture_objects]
    stamp = _stamp(table.capture_objects, times, meter_type)
    columns = []
    for place, captured in enumerate(table.capture_objects):
        cells = table.columns[place]
        if profile.null_data == "repeat" and place != stamp:
            cells = _repeated(cells)
        if times[place]:
            columns.append(_times(captured, cells, meter_type))
        else:
            columns.append(_values(captured, cells, layout, profile, documented.get(AttributeRef(*captured[:3]))))
    quality = columns[stamp].quality.copy() if stamp is not None else np.zeros(table.rows, np.int32)
    return ProfileRows(profile, tuple(columns), stamp, quality, np.arange(table.rows), table)


def _is_time(captured: CaptureObject, documented: dict[AttributeRef, Documented]) -> bool:
    known = documented.get(AttributeRef(*captured[:3]))
    return captured.is_date_time or (known is not None and known.date_time)


def _stamp(captured: tuple[CaptureObject, ...], times: list[bool], meter_type: MeterType) -> int | None:
    """The meter's clock; else the first column that is a time and not that of another column's value."""
    for place, one in enumerate(captured):
        if one[:3] == meter_type.clock:
            return place
    return next((place for place, one in enumerate(captured) if times[place] and one.attribute == 2), None)


def _repeated(column: Column) -> Column:
    """Null-data as the value of the row before; what is null from the first row on stays so."""
    if column.null is None:
        return column
    source = np.maximum.accumulate(np.where(column.null, -1, np.arange(len(column.null))))
    still = source < 0
    return Column(column.values[np.maximum(source, 0)], still if still.any() else None)


def _times(captured: CaptureObject, column: Column, meter_type: MeterType) -> ValueColumn:
    null = _null(column)
    found = instants(_date_times(column), meter_type.zone, meter_type.deviation)
    lost = np.datetime64(f"{meter_type.clock_habit.lost_before}-01-01", "us").astype(np.int64)
    quality = np.zeros(len(null), np.int32)
    quality[(found.suspect | (found.local < lost)) & found.ok] |= Quality.CLOCK_SUSPECT
    return ValueColumn(captured, "instant", found.utc, null, ~found.ok & ~null, quality)


def _date_times(column: Column) -> NDArray[np.uint8]:
    """Shape (rows, 12); FF, which names no instant, where a row holds no 12 octets."""
    if column.values.dtype == np.uint8 and column.values.shape[1:] == (_DATE_TIME_OCTETS,):
        octets = column.values.copy()
        octets[_null(column)] = 0xFF
        return octets
    octets = np.full((len(column.values), _DATE_TIME_OCTETS), 0xFF, np.uint8)
    if column.values.dtype == object:
        for row, value in enumerate(column.values):
            if isinstance(value, bytes) and len(value) == _DATE_TIME_OCTETS:
                octets[row] = np.frombuffer(value, np.uint8)
    return octets


def _values(
    captured: CaptureObject, column: Column, layout: Layout, profile: Profile, known: Documented | None
) -> ValueColumn:
    null = _null(column)
    given = layout.scaler_of(captured)
    owed = captured.class_id in REGISTER_CLASSES and is_value(captured)
    numbers = _numbers(column, null, must=owed or given is not None)
    if numbers is None:
        none = np.zeros(len(null), np.bool_)
        return ValueColumn(captured, "other", _objects(column, null), null, none, np.zeros(len(null), np.int32))
    values, unread = numbers
    quality = np.zeros(len(null), np.int32)
    exponent, unit = (given.scaler, given.unit) if given is not None else (None, None)
    if owed and given is None:
        quality |= Quality.SCALER_ASSUMED
        exponent, unit = (known.scaler, known.unit) if known is not None else (None, None)
    correction = profile.corrections.get(AttributeRef(*captured[:3]), 0)
    if exponent is not None and correction:
        quality |= Quality.CORRECTED
        exponent += correction
    return ValueColumn(captured, "number", values, null, unread, quality, exponent or 0, unit)


def _null(column: Column) -> Mask:
    return np.zeros(len(column.values), np.bool_) if column.null is None else column.null


def _numbers(column: Column, null: Mask, *, must: bool) -> tuple[NDArray[Any], Mask] | None:
    """The cells as int64 or floats, and which are none; None where they are no numbers and do not have to be."""
    values = column.values
    if values.ndim == 1 and values.dtype.kind in "iuf":
        if values.dtype.kind == "f":
            unread = ~np.isfinite(values)
            return np.where(unread, 0, values).astype(values.dtype.newbyteorder("=")), unread & ~null
        too_large = values > np.uint64(_INT64.max) if values.dtype.itemsize == 8 and values.dtype.kind == "u" else null
        unread = too_large & ~null
        return np.where(unread, 0, values).astype(np.int64), unread
    cells = list(_objects(column, null))
    numeric = [isinstance(one, int | float) for one in cells]
    if not must and not all(one or none for one, none in zip(numeric, null.tolist(), strict=True)):
        return None
    whole = all(isinstance(one, int) for one, is_number in zip(cells, numeric, strict=True) if is_number)
    form: Any = np.int64 if whole else np.float64
    made, unread = np.zeros(len(cells), form), ~null
    for row, one in enumerate(cells):
        if numeric[row] and (_INT64.min <= one <= _INT64.max):
            made[row], unread[row] = one, False
    return made, unread


def _objects(column: Column, null: Mask) -> NDArray[np.object_]:
    """The cells as Python values, None where null."""
    objects = np.empty(len(null), object)
    for row, one in enumerate(_cells(column)):
        objects[row] = None if null[row] else one
    return objects


def _cells(column: Column) -> Iterator[Any]:
    values = column.values
    if values.ndim == 2:
        return (row.tobytes() for row in values)
    return iter(values.tolist())
