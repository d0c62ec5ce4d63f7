"""From the answers of a session file to rows, as a collection makes them.

The one rule: the meter's own answers say how its buffers are built, and the registered meter's type what they mean. A
profile that can't be read fails alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from drivers.dlms.profile_buffer import decode_profile
from drivers.reading import Layout, ProfileRows, read_layout, read_values
from drivers.reading.billing import mark_running
from drivers.reading.events import event_rows
from drivers.reading.layout import BUFFER, PROFILE_GENERIC
from headend.collection.rows import RowReader, ratio_said
from headend.push.blocks import marked
from headend.session_file.contents import Answer
from headend.store.finished import Contact, Finished, MeterEvent, ProfileReading
from headend.store.rows import UNIX_EPOCH, MeterIntervals, Source
from headend.store.writer import EARLIEST_US
from profiles.errors import AccessDenied, HeadEndError
from profiles.intervals import Quality, Suspect, intervals
from profiles.meter_type import MeterType, Profile
from profiles.objects import AttributeRef, Obis
from profiles.table import ProfileTable

EARLIEST: Final = UNIX_EPOCH + timedelta(microseconds=EARLIEST_US)


class KeptAnswers:
    """Answers a GET with what the meter last answered to it."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._last = {(one.class_id, Obis.parse(one.obis), one.attribute, one.selection): one for one in answers}
        self._buffers: dict[Obis, list[Answer]] = {}
        for one in answers:
            if (one.class_id, one.attribute) == (PROFILE_GENERIC, BUFFER):
                self._buffers.setdefault(Obis.parse(one.obis), []).append(one)

    async def get(self, attribute: AttributeRef, selection: bytes | None = None) -> bytes:
        """The A-XDR octets. AccessDenied where the file has no answer."""
        kept = self._last.get((*attribute, selection))
        if kept is None:
            raise AccessDenied("the file has no answer to this", asked=f"get {attribute}", retry=False)
        return kept.octets

    def buffers(self, profile: Profile) -> list[Answer]:
        """The buffer, or parts of it, in the order in which they came."""
        return self._buffers.get(profile.obis, [])


@dataclass(frozen=True, slots=True)
class Whose:
    """The registered meter that the answers are of; `now`: when they are taken in, after which none can have come."""

    meter_id: int
    meter_type: MeterType
    commissioned_at: datetime
    authenticated: bool
    clock_suspect: bool
    now: datetime


@dataclass(slots=True)
class _Rows:
    """Rows so far; `problems`: what of the file can't be read, a sentence each."""

    readings: list[MeterIntervals] = field(default_factory=list)
    profiles: list[ProfileReading] = field(default_factory=list)
    events: list[MeterEvent] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def finished_of(answers: Sequence[Answer], whose: Whose) -> tuple[Finished, list[str]]:
    """What the answers bring, without any word of what is covered; and what of them can't be read."""
    kept, rows = KeptAnswers(answers), _Rows()
    for profile in whose.meter_type.profiles.values():
        buffers = kept.buffers(profile)
        if not buffers:
            continue
        try:
            _Reading(whose, profile, await read_layout(kept, profile), buffers).into(rows)
        except HeadEndError as error:
            rows.problems.append(f"{profile.name}: {error}")
    at = min((one.at for one in answers), default=whose.now)
    finished = Finished(
        Contact(whose.meter_id, min(at, whose.now), ours=False),
        tuple(rows.readings),
        profiles=tuple(rows.profiles),
        events=tuple(rows.events),
        ratio=ratio_said(whose.meter_type, rows.profiles),
    )
    return finished, rows.problems


class _Reading:
    """The buffers of one profile."""

    def __init__(self, whose: Whose, profile: Profile, layout: Layout, buffers: Sequence[Answer]) -> None:
        self._whose = whose
        self._type = whose.meter_type
        self._profile = profile
        self._layout = layout
        self._buffers = buffers
        self._proof = 0 if whose.authenticated else int(Quality.NOT_AUTHENTICATED)
        self._marks = self._proof | (int(Quality.CLOCK_SUSPECT) if whose.clock_suspect else 0)

    def into(self, rows: _Rows) -> None:
        match self._profile.kind:
            case "block_load":
                rows.readings += [self._intervals(one) for one in self._buffers]
            case "event_log":
                self._events(rows)
            case "billing":
                self._bills(rows)
            case "daily_load":
                for answer in self._buffers:
                    self._keep(rows, self._rows(answer, self._marks), answer)
            case "instantaneous" | "nameplate":
                self._keep(rows, self._rows(self._buffers[-1], self._marks), self._buffers[-1])

    def _intervals(self, answer: Answer) -> MeterIntervals:
        reader = self._reader(answer)
        batch = intervals(
            self._table(answer),
            self._layout.scalers,
            self._profile,
            self._type,
            interval_s=self._layout.capture_period_s,
            now=reader.read_at,
            earliest=reader.earliest,
        )
        return MeterIntervals(self._whose.meter_id, marked(batch, self._marks), reader.read_at, Source.FILE)

    def _events(self, rows: _Rows) -> None:
        reader = self._reader(self._buffers[-1])
        parts = [event_rows(self._rows(one, self._proof), self._type) for one in self._buffers]
        events, _, suspects = reader.events(parts)
        rows.events += events
        self._doubt(rows, reader, suspects)

    def _bills(self, rows: _Rows) -> None:
        """The closed ones."""
        parts = [self._rows(one, self._marks) for one in self._buffers]
        if self._profile.running_row:
            mark_running(parts, newest_last=self._type.buffer_habit.newest_last)
        for part, answer in zip(parts, self._buffers, strict=True):
            self._keep(rows, part.take(np.flatnonzero((part.quality & int(Quality.PARTIAL)) == 0)), answer)

    def _keep(self, rows: _Rows, part: ProfileRows, answer: Answer) -> None:
        reader = self._reader(answer)
        readings, suspects = reader.profile_readings(part)
        rows.profiles += readings
        self._doubt(rows, reader, suspects)

    def _doubt(self, rows: _Rows, reader: RowReader, suspects: Sequence[Suspect]) -> None:
        if suspects:
            rows.readings.append(reader.suspects(suspects))

    def _rows(self, answer: Answer, marks: int) -> ProfileRows:
        rows = read_values(self._table(answer), self._layout, self._profile, self._type)
        rows.quality[:] |= marks
        return rows

    def _table(self, answer: Answer) -> ProfileTable:
        return decode_profile(answer.octets, self._layout.capture_objects)

    def _reader(self, answer: Answer) -> RowReader:
        whose, depth = self._whose, timedelta(days=self._profile.depth_days)
        earliest = EARLIEST if self._profile.kind == "billing" else max(whose.commissioned_at - depth, EARLIEST)
        return RowReader(whose.meter_id, self._type, min(answer.at, whose.now), Source.FILE, earliest)
