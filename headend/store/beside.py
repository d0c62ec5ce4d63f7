"""What stands beside the block load: rows of other profiles, events, status words, clocks, nameplates.

The one rule: set by set, in the order of the keys, so that writers at once wait for each other and never in a circle.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

from psycopg.types.json import Jsonb

from headend.store.database import Connection
from headend.store.days import recount_days
from headend.store.finished import (
    ClockCheck,
    EventMark,
    MeterEvent,
    Nameplate,
    ProfileReading,
    StatusWord,
    Values,
)
from headend.store.rows import Source
from headend.store.statements import statement
from headend.store.writer import Written
from profiles.events import encode_esw, esw_changes
from profiles.intervals import Quality

DAILY_LOAD: Final = "daily_load"
STATUS_WORD: Final = "status_word"


class _Exact(float):
    """A Decimal as a JSON number with all its digits."""

    def __new__(cls, value: Decimal) -> _Exact:
        made = super().__new__(cls, value)
        made.text = format(value, "f")
        return made

    text: str

    def __repr__(self) -> str:
        return self.text


def values_json(values: Values) -> Jsonb:
    """For a jsonb column, numbers exact."""
    plain = {key: _Exact(value) if isinstance(value, Decimal) else value for key, value in values.items()}
    return Jsonb(plain, dumps=partial(json.dumps, ensure_ascii=False))


async def write_profiles(connection: Connection, rows: Sequence[ProfileReading], now: datetime) -> Written:
    """Rows of profiles into `profile_reading`; days are counted. Raises psycopg's errors."""
    rows = sorted(rows, key=lambda row: (row.meter_id, row.profile, row.ts))
    written = Written()
    for part in _rounds(rows):
        parameters = {
            "meter_id": [row.meter_id for row in part],
            "profile": [row.profile for row in part],
            "ts": [row.ts for row in part],
            "values": [values_json(row.values) for row in part],
            "units": [Jsonb(dict(row.units)) for row in part],
            "quality": [row.quality for row in part],
            "read_at": [row.read_at for row in part],
            "source": [int(row.source) for row in part],
            "corrected": int(Quality.CORRECTED),
        }
        cursor = await connection.execute(statement("profiles_merge"), parameters)
        inserted, updated, revised = await cursor.fetchone() or (0, 0, 0)
        written += Written(profile_rows=inserted + updated, revisions=revised)
    days = [row for row in rows if row.profile == DAILY_LOAD]
    if days:
        starts = [row.ts for row in days]
        within = [start + timedelta(hours=1) for start in starts]
        await recount_days(connection, DAILY_LOAD, [row.meter_id for row in days], starts, within, now)
    return written


async def write_events(
    connection: Connection, events: Sequence[MeterEvent], marks: Sequence[EventMark], words: Sequence[StatusWord]
) -> Written:
    """Events, once each, those that changed status words tell too; how far logs were read. Raises psycopg's errors."""
    events = [*events, *await _settle_words(connection, words)]
    stored = 0
    if events:
        events.sort(key=lambda one: (one.meter_id, one.occurred_at, one.code, one.nth))
        parameters: dict[str, Any] = {
            name: [getattr(one, name) for one in events]
            for name in ("meter_id", "log", "code", "occurred_at", "nth", "sequence", "quality", "read_at")
        }
        parameters["source"] = [int(one.source) for one in events]
        parameters["values"] = [values_json(one.values) for one in events]
        cursor = await connection.execute(statement("events_store"), parameters)
        stored = sum(new for (new,) in await cursor.fetchall())
        if stored:
            await connection.execute(statement("events_tell"))
    if marks:
        of_marks = {
            name: [getattr(one, name) for one in marks] for name in ("meter_id", "log", "sequence", "occurred_at")
        }
        await connection.execute(statement("marks_store"), of_marks)
    return Written(events=stored)


async def _settle_words(connection: Connection, words: Sequence[StatusWord]) -> list[MeterEvent]:
    """What changed between the stored word of each meter and later ones; the first of a meter tells nothing."""
    if not words:
        return []
    meters = sorted({word.meter_id for word in words})
    cursor = await connection.execute(statement("words_load"), {"meters": meters})
    held = {meter: StatusWord(meter, at, tuple(bits)) for meter, at, bits in await cursor.fetchall()}
    events: list[MeterEvent] = []
    for word in sorted(words, key=lambda one: one.at):
        before = held.get(word.meter_id)
        if before is not None and word.at <= before.at:
            continue
        if before is not None:
            events += _changes(before, word)
        held[word.meter_id] = word
    plain = [{"meter_id": one.meter_id, "at": one.at.isoformat(), "bits": list(one.bits)} for one in held.values()]
    await connection.execute(statement("words_store"), {"words": Jsonb(plain)})
    return events


def _changes(before: StatusWord, after: StatusWord) -> Iterable[MeterEvent]:
    found = esw_changes(encode_esw(before.bits), encode_esw(after.bits), after.maker)
    for change in (*found.occurrences, *found.restorations):
        if change.event is not None:
            values: Mapping[str, str] = {"status_bit": str(change.bit.bit)}
            yield MeterEvent(
                after.meter_id, STATUS_WORD, change.event.id, after.at, 0, None, values, 0, after.at, Source.SCHEDULED
            )


async def write_clocks(connection: Connection, checks: Sequence[ClockCheck]) -> None:
    """How far clocks were off. Raises psycopg's errors."""
    unique = {(one.meter_id, one.at): one for one in checks}
    ordered = [unique[key] for key in sorted(unique)]
    parameters = {
        "meter_id": [one.meter_id for one in ordered],
        "at": [one.at for one in ordered],
        "drift_ms": [None if one.drift_s is None else _bounded(one.drift_s * 1000) for one in ordered],
        "uncertainty_ms": [_bounded(one.uncertainty_s * 1000) for one in ordered],
        "suspect": [one.suspect for one in ordered],
        "set_to": [one.set_to for one in ordered],
    }
    await connection.execute(statement("clocks_store"), parameters)


def _bounded(milliseconds: float) -> int:
    """A clock that was reset is off by decades."""
    return max(-(2**31), min(2**31 - 1, round(milliseconds)))


async def write_nameplates(connection: Connection, nameplates: Sequence[Nameplate]) -> None:
    """What meters said of themselves. Raises psycopg's errors."""
    newest = {one.meter_id: one for one in sorted(nameplates, key=lambda one: one.at)}
    ordered = [newest[meter] for meter in sorted(newest)]
    names = ("meter_id", "maker", "model", "firmware", "at")
    await connection.execute(
        statement("nameplates_store"), {name: [getattr(one, name) for one in ordered] for name in names}
    )


def _rounds(rows: Sequence[ProfileReading]) -> list[list[ProfileReading]]:
    """Rows in rounds in which none comes twice, those that were read first in the first."""
    rounds: list[list[ProfileReading]] = []
    seen: dict[tuple[int, str, datetime], int] = {}
    for row in sorted(rows, key=lambda one: (one.meter_id, one.profile, one.ts, one.read_at)):
        key = (row.meter_id, row.profile, row.ts)
        turn = seen[key] = seen.get(key, -1) + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(row)
    return rounds
