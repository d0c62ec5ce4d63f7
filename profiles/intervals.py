"""From the rows of a load profile to intervals that can be stored.

The one rule: every row of the buffer leaves here exactly once, as an interval, as a revision (another row had its
interval already), as a suspect with its octets, or, if it repeats an interval word for word, as that interval. Where an
interval says less than the meter did, its quality tells, and the meter's own octets stand beside it as an extra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from profiles.channels import CHANNELS, COLUMNS, NO_UNIT, VAH, WH, Channel, V
from profiles.datetimes import SECOND_US, Instants, all_later, instants
from profiles.errors import ProtocolError
from profiles.meter_type import MeterType, Profile
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit
from profiles.scaling import Scaled, exact, scale
from profiles.table import Column, ProfileTable

Scalers = Mapping[tuple[int, Obis, int], ScalerUnit]
"""By class id, OBIS and value attribute, never by a column's position."""


class Quality(IntFlag):
    """What is known against a stored interval; the numbers are stored, so they never change."""

    CLOCK_SUSPECT = 1 << 0
    """The clock status says invalid or doubtful, or the zone does not tell which instant was meant."""
    CLOCK_CHANGED = 1 << 1
    POWER_FAIL = 1 << 2
    ZERO_FILLED = 1 << 3
    """No voltage and no energy at all: what meters write, on power-up, for the intervals of an outage."""
    PARTIAL = 1 << 4
    ROUNDED = 1 << 5
    """A value is finer than its column; the meter's own stands in an extra."""
    OVERFLOW = 1 << 6
    """A value does not fit in its column and is NULL; the meter's own stands in an extra."""
    DUPLICATE_STAMP = 1 << 7
    """Another row with other values claimed the same interval; it stands in the revisions."""
    NOT_AUTHENTICATED = 1 << 8
    SCALER_ASSUMED = 1 << 9
    """The meter gave no scaler for a register: 0 was taken."""
    STAMP_INFERRED = 1 << 10
    """The row's date-time was null-data: one period after the row before."""
    CORRECTED = 1 << 11
    """The type says that a scaler is wrong by a power of ten, which was put right."""


NO_DATE_TIME: Final = "no valid date-time"
TOO_OLD: Final = "before the meter can have recorded it"
IN_THE_FUTURE: Final = "in the future"
OFF_THE_GRID: Final = "off the grid of the capture period"
OTHER_COLUMNS: Final = "other columns than the profile's"
_REASONS: Final = ("", NO_DATE_TIME, TOO_OLD, IN_THE_FUTURE, OFF_THE_GRID)


@dataclass(frozen=True, slots=True)
class Extra:
    """A captured value without a column, or beside one that could not hold it whole.

    `start_us`: the interval, µs since 1970 UTC. `value`: the number, scaled and exact, in `unit` (Blue Book enum); None
    for what is no number. `raw`: the cell's A-XDR octets. `time_us`: what they mean where they are a date-time, as
    `start_us`.
    """

    start_us: int
    class_id: int
    obis: Obis
    attribute: int
    value: Decimal | None
    unit: int | None
    raw: bytes
    time_us: int | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row that is not believed: why, its date-time's 12 octets (fewer or none if it has no such), the whole row."""

    reason: str
    stamp: bytes
    raw: bytes


@dataclass(frozen=True, slots=True, eq=False)
class IntervalBatch:
    """Intervals of one meter, one entry a row in every array.

    `start`: µs since 1970 UTC, strictly ascending. `quality`: bits of `Quality`. `values`: by column of
    `interval_reading`, in the unit and exponent of its channel, 0 where NULL. `nulls`: masks, only for columns with a
    NULL. `revisions`: rows that lost their interval to an earlier row of the same read; if several lost the same
    one, the later of them stand in its own revisions.
    """

    start: NDArray[np.int64]
    interval_s: int
    quality: NDArray[np.int32]
    values: dict[str, NDArray[np.int64]]
    nulls: dict[str, NDArray[np.bool_]]
    extras: tuple[Extra, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    revisions: IntervalBatch | None = None


def intervals(
    table: ProfileTable,
    scalers: Scalers,
    profile: Profile,
    meter_type: MeterType,
    *,
    interval_s: int,
    now: datetime,
    earliest: datetime,
) -> IntervalBatch:
    """The intervals, of `interval_s` seconds, that a profile's rows name.

    Believed is what begins at or after `earliest`, ends at most one interval and the type's allowed drift after `now`
    (both aware), and lies on the grid of the interval in local time; all else is a suspect. Raises ProtocolError if
    no column is the meter's clock.
    """
    clock = _clock_column(table, meter_type)
    stamps = _stamps(table, clock, profile, meter_type, interval_s)
    reasons = _disbelief(stamps, interval_s, now + timedelta(seconds=meter_type.drift_allowed_s), earliest)
    rows = _rows(table, clock, stamps, scalers, profile, meter_type)
    order, suspects = rows.own, tuple(_suspects(table, clock, reasons))
    if suspects or (np.diff(stamps.start) <= 0).any():
        believed = np.flatnonzero(reasons == 0)
        order = believed[np.argsort(stamps.start[believed], kind="stable")]
    return _batch(rows, order, interval_s, suspects)


@dataclass(frozen=True, slots=True, eq=False)
class _Stamps:
    """One entry a row: `start` in µs UTC, `wall` the stamp on the wall clock in µs, what is known about them."""

    start: NDArray[np.int64]
    wall: NDArray[np.int64]
    ok: NDArray[np.bool_]
    suspect: NDArray[np.bool_]
    inferred: NDArray[np.bool_]


def _clock_column(table: ProfileTable, meter_type: MeterType) -> int:
    for column, captured in enumerate(table.capture_objects):
        if captured[:3] == meter_type.clock:
            return column
    raise ProtocolError(
        f"none of the {len(table.capture_objects)} capture objects is the clock {meter_type.clock}",
        remedy="the meter type names another clock, or the profile is no load profile",
        retry=False,
    )


def _stamps(table: ProfileTable, clock: int, profile: Profile, meter_type: MeterType, interval_s: int) -> _Stamps:
    column = table.columns[clock]
    found = instants(_date_times(column, table.rows), meter_type.zone, meter_type.deviation)
    utc, wall, ok, suspect = found.utc, found.local, found.ok, found.suspect
    inferred = np.zeros(table.rows, np.bool_)
    if column.null is not None:
        # Odd rows took part in the meter's sequence, so they count as periods too.
        place = np.delete(np.arange(table.rows + len(table.odd_rows)), [row for row, _ in table.odd_rows])
        last = np.maximum.accumulate(np.where(column.null, -1, np.arange(table.rows)))
        inferred = column.null & (last >= 0) & ok[last]
        periods = place - place[last]
        utc = np.where(inferred, all_later(utc[last], periods, interval_s, meter_type.zone), utc)
        wall = np.where(inferred, wall[last] + periods * interval_s * SECOND_US, wall)
        ok, suspect = ok | inferred, np.where(inferred, suspect[last], suspect)
    before = np.full(table.rows, -1 if profile.stamp == "end" else 0)
    return _Stamps(all_later(utc, before, interval_s, meter_type.zone), wall, ok, suspect, inferred)


def _date_times(column: Column, rows: int) -> NDArray[np.uint8]:
    """The column as octets, shape (rows, 12); FF, which names no instant, where a row holds no 12 octets."""
    if column.values.dtype == np.uint8 and column.values.shape[1:] == (12,):
        return column.values
    octets = np.full((rows, 12), 0xFF, np.uint8)
    if column.values.dtype == object:
        for row, value in enumerate(column.values):
            if isinstance(value, bytes) and len(value) == 12:
                octets[row] = np.frombuffer(value, np.uint8)
    return octets


def _disbelief(stamps: _Stamps, interval_s: int, latest: datetime, earliest: datetime) -> NDArray[np.int8]:
    """By row the index in `_REASONS` of why it is not believed, 0 if it is."""
    reasons = np.zeros(len(stamps.start), np.int8)
    # The gravest last: it is the one that stays.
    for reason, rows in (
        (OFF_THE_GRID, stamps.wall % (interval_s * SECOND_US) != 0),
        (IN_THE_FUTURE, stamps.start > _microseconds(latest)),
        (TOO_OLD, stamps.start < _microseconds(earliest)),
        (NO_DATE_TIME, ~stamps.ok),
    ):
        if rows.any():
            reasons[rows] = _REASONS.index(reason)
    return reasons


def _microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _suspects(table: ProfileTable, clock: int, reasons: NDArray[np.int8]) -> Iterator[Suspect]:
    column = table.columns[clock]
    for row in np.flatnonzero(reasons).tolist():
        value = column.values[row]
        stamp = b"" if column.null is not None and column.null[row] else value
        stamp = stamp.tobytes() if isinstance(stamp, np.ndarray) else stamp
        yield Suspect(_REASONS[reasons[row]], stamp if isinstance(stamp, bytes) else b"", table.row_octets(row))
    for _, octets in table.odd_rows:
        yield Suspect(OTHER_COLUMNS, b"", octets)


@dataclass(frozen=True, slots=True, eq=False)
class _Raw:
    """A column of which some rows (`mask`; None: all) are kept as extras; `source`: the row whose cell counts.
    `times`: of a column of date-times, before `source` is followed."""

    column: int
    captured: CaptureObject
    scaler: ScalerUnit | None
    mask: NDArray[np.bool_] | None
    source: NDArray[np.int64]
    null: NDArray[np.bool_] | None
    times: Instants | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """All rows of a table, believed or not, in its order.

    `own`: the place of each, 0, 1, 2 …; as an order, that all are believed and each starts after the one before.
    """

    table: ProfileTable
    own: NDArray[np.int64]
    start: NDArray[np.int64]
    quality: NDArray[np.int32]
    values: dict[str, NDArray[np.int64]]
    nulls: dict[str, NDArray[np.bool_]]
    raw: list[_Raw]


def _rows(
    table: ProfileTable, clock: int, stamps: _Stamps, scalers: Scalers, profile: Profile, meter_type: MeterType
) -> _Rows:
    quality = np.zeros(table.rows, np.int32)
    if stamps.suspect.any():
        quality[stamps.suspect] |= Quality.CLOCK_SUSPECT
    if stamps.inferred.any():
        quality[stamps.inferred] |= Quality.STAMP_INFERRED
    rows = _Rows(table, np.arange(table.rows), stamps.start, quality, {}, {}, [])
    for column, captured in enumerate(table.capture_objects):
        if column != clock:
            _add_column(rows, column, captured, scalers.get((captured.class_id, captured.obis, 2)), profile)
    rows.raw[:] = [_with_times(one, table, profile, meter_type) for one in rows.raw]
    _mark_zero_filled(rows)
    return rows


def _add_column(rows: _Rows, column: int, captured: CaptureObject, scaler: ScalerUnit | None, profile: Profile) -> None:
    correction = profile.corrections.get(AttributeRef(*captured[:3]), 0)
    if scaler is not None and correction:
        scaler = replace(scaler, scaler=scaler.scaler + correction)
        rows.quality[:] |= Quality.CORRECTED
    values, null = rows.table.columns[column].values, rows.table.columns[column].null
    source = rows.own
    if null is not None and profile.null_data == "repeat":
        source = np.maximum.accumulate(np.where(null, -1, source))
        null, source = source < 0, np.maximum(source, 0)
        values = values[source]
    channel = _channel(captured, scaler)
    if channel is None or channel.name in rows.values:
        rows.raw.append(_Raw(column, captured, scaler, None, source, null))
        return
    if scaler is None and channel.scaled:
        rows.quality[:] |= Quality.SCALER_ASSUMED
    scaled = scale(values, null, (scaler.scaler if scaler else 0) - channel.exponent)
    rows.values[channel.name] = scaled.values
    if scaled.null is not None:
        rows.nulls[channel.name] = scaled.null
    inexact = _mark_inexact(rows.quality, scaled)
    if inexact is not None:
        rows.raw.append(_Raw(column, captured, scaler, inexact, source, null))


def _with_times(raw: _Raw, table: ProfileTable, profile: Profile, meter_type: MeterType) -> _Raw:
    documented = any(one.date_time and one.captured[:3] == raw.captured[:3] for one in profile.columns)
    if raw.captured.data_index or not (raw.captured.is_date_time or documented):
        return raw
    octets = _date_times(table.columns[raw.column], table.rows)
    return replace(raw, times=instants(octets, meter_type.zone, meter_type.deviation))


def _channel(captured: CaptureObject, scaler: ScalerUnit | None) -> Channel | None:
    """The channel that a column fills: none if it is only a part of an attribute, or comes in another unit.

    A column whose unit is not the channel's is kept with the unit that the meter gave, as an extra: nothing is lost,
    and no number stands in a column whose unit it does not have.
    """
    channel = CHANNELS.get((captured.class_id, captured.obis, captured.attribute))
    if channel is None or captured.data_index:
        return None
    foreign = scaler is not None and channel.unit not in (scaler.unit, NO_UNIT)
    return None if foreign else channel


def _mark_inexact(quality: NDArray[np.int32], scaled: Scaled) -> NDArray[np.bool_] | None:
    """Mark the rows whose value is not the whole truth; the mask of them all, or None."""
    if scaled.rounded is None and scaled.overflow is None and scaled.foreign is None:
        return None
    inexact = None
    for mask, bit in ((scaled.rounded, Quality.ROUNDED), (scaled.overflow, Quality.OVERFLOW), (scaled.foreign, 0)):
        if mask is not None:
            quality[mask] |= bit
            inexact = mask if inexact is None else inexact | mask
    return inexact


_VOLTAGES: Final = frozenset(name for name, channel in COLUMNS.items() if channel.unit == V)
_ENERGIES: Final = frozenset(
    name for name, channel in COLUMNS.items() if channel.unit in (WH, VAH) and not name.endswith("_register")
)


def _mark_zero_filled(rows: _Rows) -> None:
    names = rows.values.keys() & (_VOLTAGES | _ENERGIES)
    if not names & _VOLTAGES or not names & _ENERGIES:
        return
    zero = np.ones(rows.table.rows, np.bool_)
    for name in sorted(names, key=_ENERGIES.__contains__):  # the voltages first: there is one nearly always
        zero &= rows.values[name] == 0
        if name in rows.nulls:
            zero &= ~rows.nulls[name]
        if not zero.any():
            return
    rows.quality[zero] |= Quality.ZERO_FILLED


def _batch(rows: _Rows, order: NDArray[np.int64], interval_s: int, suspects: tuple[Suspect, ...]) -> IntervalBatch:
    """The batch of the rows `order`, which sorts them by start, earlier rows of one start first."""
    order, lost = _settle_duplicates(rows, order)
    chosen = slice(None) if order is rows.own else order
    nulls = {name: null[chosen] for name, null in rows.nulls.items()}
    return IntervalBatch(
        start=rows.start[chosen],
        interval_s=interval_s,
        quality=rows.quality[chosen],
        values={name: values[chosen] for name, values in rows.values.items()},
        nulls={name: null for name, null in nulls.items() if null.any()},
        extras=tuple(_extras(rows, order)) if rows.raw else (),
        suspects=suspects,
        revisions=_batch(rows, lost, interval_s, ()) if len(lost) else None,
    )


def _settle_duplicates(rows: _Rows, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that keep their interval, and those that lost it by saying something else; marks both."""
    if order is rows.own:
        return order, order[:0]
    start = rows.start[order]
    repeats = np.concatenate(([False], start[1:] == start[:-1]))[: len(order)]
    if not repeats.any():
        return order, order[:0]
    lost = []
    for place in np.flatnonzero(repeats).tolist():
        first, row = int(order[np.searchsorted(start, start[place])]), int(order[place])
        if not _alike(rows, first, row):
            rows.quality[[first, row]] |= Quality.DUPLICATE_STAMP
            lost.append(row)
    return order[~repeats], np.array(lost, np.int64)


def _alike(rows: _Rows, one: int, other: int) -> bool:
    return (
        all(values[one] == values[other] for values in rows.values.values())
        and all(null[one] == null[other] for null in rows.nulls.values())
        and all(
            rows.table.cell_octets(int(raw.source[one]), raw.column)
            == rows.table.cell_octets(int(raw.source[other]), raw.column)
            for raw in rows.raw
        )
    )


def _extras(rows: _Rows, order: NDArray[np.int64]) -> Iterator[Extra]:
    """Extras of the rows `order`, one for each attribute and interval."""
    found: dict[tuple[int, int, Obis, int], Extra] = {}
    for raw in rows.raw:
        kept = order if raw.mask is None else order[raw.mask[order]]
        if raw.null is not None:
            kept = kept[~raw.null[kept]]
        values = rows.table.columns[raw.column].values
        for row in kept.tolist():
            source = int(raw.source[row])
            value = exact(values[source], raw.scaler.scaler if raw.scaler else 0)
            octets = rows.table.cell_octets(source, raw.column)
            key = (int(rows.start[row]), *raw.captured[:3])
            unit = raw.scaler.unit if raw.scaler else None
            time_us = int(raw.times.utc[source]) if raw.times is not None and raw.times.ok[source] else None
            # Several columns may hold parts of one attribute: their octets then stand together.
            whole = Extra(*key, value, unit, octets, time_us)
            found[key] = Extra(*key, None, None, found[key].raw + octets) if key in found else whole
    yield from found.values()
