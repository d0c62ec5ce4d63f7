"""What happened at meters: events of their logs, of pushes and files, and what changes of status words tell.

The one rule: an event is stored once, however often and by whichever way it comes. Two are the same if meter, second,
code and the log's number are; where one of them has no number, if they are the same in the order of that second.
A status word is a state: what happened is the difference to the latest word of the meter that is stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from headend.store.database import Connection
from headend.store.finished import EventMark, MeterEvent, StatusWord
from headend.store.statements import statement
from headend.store.values import values_json
from headend.store.writer import rounds
from profiles.events import ESW_BITS, LAST_GASP, EswBit, encode_esw, esw_bit, esw_changes, events, makers

CHANNEL: Final = "headend_event"
"""Notified once a transaction in which events were stored."""
STATUS_WORD: Final = "status_word"
"""The log of events that were told from a status word."""
BIT_SET: Final = 0x10000
"""This and the bit's number is the code for a bit that stands for no event; meters' own codes are smaller."""
BIT_CLEARED: Final = BIT_SET + 0x100

_Key = tuple[int, datetime, int]
"""Meter, moment, code."""

log = structlog.get_logger(__name__)


async def write_events(
    connection: Connection, happened: Sequence[MeterEvent], words: Sequence[tuple[StatusWord, datetime]]
) -> int:
    """Store what is new, in the caller's transaction, which has locked the meters; how many.

    `words`: each with when it came in. Who listens to CHANNEL hears of new events when the transaction ends.
    """
    found = [*happened, *(await _told_by(connection, words) if words else ())]
    if not found:
        return 0
    stored = await _stored(connection, found)
    placed, new = _placed(found, stored)
    for part in rounds(placed, lambda one: (one.meter_id, one.occurred_at, one.code, one.nth)):
        await connection.execute(statement("events_store"), _parameters(part))
    if new:
        await connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
    return new


async def write_marks(connection: Connection, marks: Sequence[tuple[EventMark, datetime]]) -> None:
    """How far logs are read, each with when that was; the latest read counts."""
    if not marks:
        return
    parameters = {
        "meters": [mark.meter_id for mark, _ in marks],
        "log": [mark.log for mark, _ in marks],
        "sequence": [mark.sequence for mark, _ in marks],
        "occurred_at": [mark.occurred_at for mark, _ in marks],
        "read_at": [read_at for _, read_at in marks],
    }
    await connection.execute(statement("marks"), parameters)


async def name_events(connection: Connection) -> None:
    """Bring `event_code` up to what this program knows of events and status bits."""
    rows = [(maker, *row) for maker in ("", *makers()) for row in (*_named_events(maker), *_named_bits(maker))]
    names = ("maker", "code", "log", "kind", "partner", "severity", "english", "hindi")
    await connection.execute(
        statement("event_codes"), dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True))
    )


# -- which is which ---------------------------------------------------------------------------------------------


async def _stored(connection: Connection, found: Sequence[MeterEvent]) -> dict[_Key, dict[int, int | None]]:
    """The log's numbers of stored events, by `nth`, for the keys of those found."""
    keys = {(one.meter_id, one.occurred_at, one.code) for one in found}
    parameters = {
        "meters": [meter_id for meter_id, _, _ in keys],
        "occurred_at": [at for _, at, _ in keys],
        "code": [code for _, _, code in keys],
        "earliest": min(at for _, at, _ in keys),
        "latest": max(at for _, at, _ in keys),
    }
    cursor = await connection.execute(statement("events_stored"), parameters)
    stored: dict[_Key, dict[int, int | None]] = defaultdict(dict)
    for meter_id, at, code, nth, sequence in await cursor.fetchall():
        stored[meter_id, at, code][nth] = sequence
    return stored


def _placed(found: Sequence[MeterEvent], stored: dict[_Key, dict[int, int | None]]) -> tuple[list[MeterEvent], int]:
    """Each with the `nth` under which it stands or is to stand, and how many of them are new."""
    placed, new = [], 0
    for one in found:
        held = stored[one.meter_id, one.occurred_at, one.code]
        nth = _place(one, held)
        new += nth not in held
        held[nth] = one.sequence if held.get(nth) is None else held[nth]
        placed.append(one if nth == one.nth else replace(one, nth=nth))
    return placed, new


def _place(one: MeterEvent, held: dict[int, int | None]) -> int:
    if one.sequence is not None:
        for nth, sequence in held.items():
            if sequence == one.sequence:
                return nth
        if held.get(one.nth) is not None:  # another one of that second
            return next(nth for nth in range(len(held) + 1) if held.get(nth) is None)
    return one.nth


def _parameters(found: Sequence[MeterEvent]) -> dict[str, object]:
    return {
        "meters": [one.meter_id for one in found],
        "occurred_at": [one.occurred_at for one in found],
        "code": [one.code for one in found],
        "nth": [one.nth for one in found],
        "log": [one.log for one in found],
        "maker": [one.maker or "" for one in found],
        "sequence": [one.sequence for one in found],
        "values": [values_json(one.values) for one in found],
        "quality": [one.quality for one in found],
        "read_at": [one.read_at for one in found],
        "source": [int(one.source) for one in found],
    }


# -- status words -----------------------------------------------------------------------------------------------


async def _told_by(connection: Connection, words: Sequence[tuple[StatusWord, datetime]]) -> list[MeterEvent]:
    """The events that these words tell of; the latest word of each meter is kept."""
    cursor = await connection.execute(statement("words_load"), {"meters": [word.meter_id for word, _ in words]})
    latest = {meter_id: (at, read_at, tuple(bits)) for meter_id, at, read_at, bits in await cursor.fetchall()}
    told: list[MeterEvent] = []
    changed: set[int] = set()
    for word, read_at in sorted(words, key=lambda pair: (pair[0].at, pair[1])):
        before = latest.get(word.meter_id)
        if before is not None and (word.at, read_at) <= before[:2]:
            if (word.at, read_at) < before[:2]:
                log.info("status_word_late", meter_id=word.meter_id, at=word.at.isoformat())
            continue
        told += _differences(before[2] if before is not None else (), word, read_at)
        latest[word.meter_id] = word.at, read_at, word.bits
        changed.add(word.meter_id)
    kept = [(meter_id, *latest[meter_id]) for meter_id in sorted(changed)]
    parameters = {
        "meters": [meter_id for meter_id, _, _, _ in kept],
        "at": [at for _, at, _, _ in kept],
        "read_at": [read_at for _, _, read_at, _ in kept],
        "bits": ["{" + ",".join(map(str, bits)) + "}" for _, _, _, bits in kept],
    }
    if kept:
        await connection.execute(statement("words_keep"), parameters)
    return told


def _differences(before: Sequence[int], word: StatusWord, read_at: datetime) -> Iterator[MeterEvent]:
    changes = esw_changes(encode_esw(before), encode_esw(word.bits), word.maker)
    for of, without_event in ((changes.occurrences, BIT_SET), (changes.restorations, BIT_CLEARED)):
        for change in of:
            code = change.event.id if change.event is not None else _code(change.bit, word, without_event)
            yield MeterEvent(
                word.meter_id, STATUS_WORD, code, word.at, 0, None, {}, word.quality, read_at, word.source, word.maker
            )


def _code(bit: EswBit, word: StatusWord, without_event: int) -> int:
    """Of a bit without an event. A toggle's change back is its occurrence too, and the word says which it is."""
    return (without_event if bit.edge != "toggle" or bit.bit in word.bits else BIT_CLEARED) + bit.bit


# -- names ------------------------------------------------------------------------------------------------------

_Named = tuple[int, str, str, int | None, str, str, str]
"""Code, log, kind, partner, severity, English and Hindi name."""


def _named_events(maker: str) -> Iterator[_Named]:
    for one in events(maker).values():
        yield one.id, one.group, one.kind, one.partner, one.severity, one.english, one.hindi


def _named_bits(maker: str) -> Iterator[_Named]:
    """Bits that stand for no event, when set and, where that says something, when cleared."""
    for bit in (esw_bit(number, maker) for number in range(ESW_BITS)):
        set_code, cleared_code = BIT_SET + bit.bit, BIT_CLEARED + bit.bit
        alarming = bit.edge == "state" or bit.bit == LAST_GASP
        if bit.occurrence is None:
            partner = cleared_code if bit.edge == "state" and bit.restoration is None else None
            kind, severity = "occurrence" if partner else "single", "warning" if alarming else "information"
            yield set_code, STATUS_WORD, kind, partner, severity, bit.english, bit.hindi
        if bit.restoration is None and bit.edge != "pulse":
            english, hindi = f"{bit.english} (bit cleared)", f"{bit.hindi} (बिट हटा)"
            kind = "restoration" if bit.edge == "state" and bit.occurrence is None else "single"
            partner = set_code if kind == "restoration" else None
            yield cleared_code, STATUS_WORD, kind, partner, "information", english, hindi
