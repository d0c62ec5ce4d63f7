"""From what a meter gave of its profiles and logs to what the store takes.

The one rule: a number stays exact, what is no number keeps its text or its octets, and a row whose time cannot be
believed goes whole among the suspects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from drivers.dlms import axdr
from drivers.reading import NO_CODE, EventRows, ProfileRows, ValueColumn
from headend.store.finished import EventMark, MeterEvent, MeterRatio, ProfileReading, Value
from headend.store.rows import UNIX_EPOCH, MeterIntervals, Source
from profiles.datetimes import later
from profiles.intervals import IN_THE_FUTURE as FUTURE
from profiles.intervals import NO_DATE_TIME, IntervalBatch, Quality, Suspect
from profiles.intervals import TOO_OLD as OLD
from profiles.meter_type import LOAD_KINDS, MeterType
from profiles.objects import CaptureObject

DAY: Final = timedelta(days=1)
_NO_TIMES: Final = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class RowReader:
    """Whose rows, when and how they came, and between which times they are believed."""

    meter_id: int
    meter_type: MeterType
    read_at: datetime
    source: Source
    earliest: datetime

    @property
    def latest(self) -> datetime:
        """As far ahead of ours as the meter's clock may run."""
        return self.read_at + timedelta(seconds=self.meter_type.drift_allowed_s)

    def profile_readings(self, rows: ProfileRows) -> tuple[list[ProfileReading], list[Suspect]]:
        """The rows of a daily load, billing, instantaneous or nameplate profile; those that are not believed."""
        found: list[ProfileReading] = []
        suspects: list[Suspect] = []
        marked = rows.profile.kind in ("instantaneous", "nameplate")
        before: datetime | None = None
        for row in range(len(rows)):
            stamp = None if rows.stamp is None else _instant(rows.columns[rows.stamp], row)
            inferred = stamp is None and before is not None and _follows(rows, row)
            if inferred and before is not None:
                stamp = later(before, 1, rows.profile.capture_period_s, self.meter_type.zone)
            before = stamp
            ts = self.read_at if stamp is None and marked else stamp
            reason = NO_DATE_TIME if ts is None else OLD if ts < self.earliest else FUTURE if ts > self.latest else ""
            if reason or ts is None:
                suspects.append(_suspect(rows, row, reason))
                continue
            values, units = row_values(rows, row, beside=() if marked else (rows.stamp,))
            found.append(
                ProfileReading(
                    self.meter_id,
                    rows.profile.name,
                    self._day(rows, ts) if rows.profile.kind == "daily_load" else ts,
                    values,
                    units,
                    int(rows.quality[row])
                    | _cell_quality(rows.columns, row)
                    | (int(Quality.STAMP_INFERRED) if inferred else 0),
                    self.read_at,
                    self.source,
                )
            )
        return found, suspects

    def events(self, parts: Sequence[EventRows]) -> tuple[list[MeterEvent], list[EventMark], list[Suspect]]:
        """The entries of a log that came in parts, the newest part first, and how far it is read now."""
        found: list[MeterEvent] = []
        suspects: list[Suspect] = []
        seen: Counter[tuple[int, datetime]] = Counter()
        last: EventMark | None = None
        for part in reversed(parts):
            for row in range(len(part)):
                code, at = int(part.codes[row]), None if part.times is None else _instant(part.times, row)
                number = None if part.sequence is None else part.sequence.exact(row)
                sequence = None if number is None else int(number)
                if at is None or code == NO_CODE or at > self.latest + DAY:
                    suspects.append(_suspect(part.rows, row, NO_DATE_TIME if at is None else FUTURE))
                    continue
                beside = (part.rows.stamp, *(_place(part.rows, one) for one in (part.sequence,)))
                values, _ = row_values(part.rows, row, beside=beside)
                quality = int(part.rows.quality[row])
                nth, seen[code, at] = seen[code, at], seen[code, at] + 1
                found.append(
                    MeterEvent(
                        self.meter_id,
                        part.group,
                        code,
                        at,
                        nth,
                        sequence,
                        values,
                        quality,
                        self.read_at,
                        self.source,
                        part.maker,
                    )
                )
                if last is None or (sequence or 0) >= (last.sequence or 0):
                    last = EventMark(self.meter_id, part.group, sequence, at)
        return found, [last] if last is not None else [], suspects

    def suspects(self, found: Iterable[Suspect]) -> MeterIntervals:
        """Rows that are not believed, as the store takes them."""
        none = IntervalBatch(_NO_TIMES, 900, np.empty(0, np.int32), {}, {}, suspects=tuple(found))
        return MeterIntervals(self.meter_id, none, self.read_at, self.source)

    def _day(self, rows: ProfileRows, stamp: datetime) -> datetime:
        """The midnight with which the day of a row begins; a row stamped with its end belongs to the day before."""
        inside = stamp - timedelta(microseconds=1) if rows.profile.stamp == "end" else stamp
        local = inside.astimezone(ZoneInfo(self.meter_type.zone))
        return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def row_values(
    rows: ProfileRows, row: int, *, beside: Iterable[int | None] = ()
) -> tuple[dict[str, Value], dict[str, int]]:
    """The values of one row, and the units of those that have one, by captured object; but for the columns `beside`."""
    values: dict[str, Value] = {}
    units: dict[str, int] = {}
    left_out = set(beside)
    for place, column in enumerate(rows.columns):
        if place in left_out or column.null[row]:
            continue
        key = object_key(column.captured)
        values[key] = _value(rows, row, place)
        if column.unit is not None and column.form == "number":
            units[key] = column.unit
    return values, units


def ratio_said(meter_type: MeterType, readings: Iterable[ProfileReading]) -> MeterRatio | None:
    """The ratios of instrument transformers in the newest nameplate or values of the moment that have them."""
    if meter_type.ratios is None:
        return None
    found: MeterRatio | None = None
    for one in readings:
        ct, pt = (
            value if isinstance(value := one.values.get(str(place)), Decimal) and value > 0 else None
            for place in (meter_type.ratios.current, meter_type.ratios.voltage)
        )
        if ct is not None and meter_type.profiles[one.profile].kind in ("instantaneous", "nameplate"):
            found = MeterRatio(one.meter_id, one.read_at, ct, pt, meter_type.ratios.values == "secondary")
    return found


def object_key(captured: CaptureObject) -> str:
    """`class/OBIS/attribute`, with the element (`#2`) where a part of the attribute is captured."""
    part = f"#{captured.data_index}" if captured.data_index else ""
    return f"{captured.class_id}/{captured.obis}/{captured.attribute}{part}"


def _value(rows: ProfileRows, row: int, place: int) -> Value:
    column = rows.columns[place]
    if column.unread[row]:
        return "hex:" + rows.octets(row, place).hex()
    if column.form == "number":
        return column.exact(row)
    if column.form == "instant":
        return (UNIX_EPOCH + timedelta(microseconds=int(column.values[row]))).isoformat()
    value = column.values[row]
    if isinstance(value, bytes):
        text = value.rstrip(b"\0 ")
        return text.decode("ascii") if text.isascii() and text.decode("ascii").isprintable() else "hex:" + value.hex()
    if isinstance(value, str | bool):
        return value.replace("\0", "") if isinstance(value, str) else value
    if isinstance(value, axdr.BitString):
        return value.bits
    return "hex:" + rows.octets(row, place).hex()


def _instant(column: ValueColumn, row: int) -> datetime | None:
    if column.form != "instant" or not column.known[row]:
        return None
    return UNIX_EPOCH + timedelta(microseconds=int(column.values[row]))


def _follows(rows: ProfileRows, row: int) -> bool:
    """Whether a row has null-data for its time, which means: one period after that of the row before."""
    return rows.profile.kind in LOAD_KINDS and rows.stamp is not None and bool(rows.columns[rows.stamp].null[row])


def _place(rows: ProfileRows, column: ValueColumn | None) -> int | None:
    if column is None:
        return None
    return next((place for place, one in enumerate(rows.columns) if one.captured == column.captured), None)


def _cell_quality(columns: Sequence[ValueColumn], row: int) -> int:
    """What holds for cells counts for the row, but that a time in it looks lost: only its own stamp would say so."""
    bits = 0
    for column in columns:
        if column.form != "instant":
            bits |= int(column.quality[row])
    return bits & ~int(Quality.CLOCK_SUSPECT)


def _suspect(rows: ProfileRows, row: int, reason: str) -> Suspect:
    cells = [rows.octets(row, place) for place in range(len(rows.columns))]
    stamp = b"" if rows.stamp is None else cells[rows.stamp][-12:]
    return Suspect(reason, stamp, axdr.structure(*cells))
