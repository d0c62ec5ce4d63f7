"""A visit: one meter in one session, asked for what it owes and what is due.

The one rule: what came is kept whatever comes after, and is not asked for again when the visit is tried anew; a task
that the meter refuses fails alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from drivers.credentials import CounterRange
from drivers.dlms import axdr
from drivers.reading import EventRows, Layout, ProfileRows, Reader, read_push_lists
from drivers.reading.identity import CATEGORY, FIRMWARE, MAKER, RATING
from drivers.reading.selection import on_grid
from drivers.reading.values import rows_of
from drivers.session import Session
from headend.collection.rows import RowReader, ratio_said
from headend.collection.tasks import OWED, Task
from headend.push.meters import LIST_OF
from headend.store.finished import (
    ClockCheck,
    Contact,
    Covered,
    EventMark,
    Finished,
    MeterEvent,
    Nameplate,
    ProfileReading,
    StatusWord,
)
from headend.store.rows import UNIX_EPOCH, MeterIntervals, Source
from headend.store.writer import EARLIEST_US
from headend.vault import KeyType, StoredKey
from profiles.errors import AccessDenied, HeadEndError, ProtocolError, SettingsError
from profiles.events import decode_esw
from profiles.intervals import Quality, Suspect
from profiles.meter_type import MeterType, Profile
from profiles.objects import AttributeRef, Obis

EARLIEST: Final = UNIX_EPOCH + timedelta(microseconds=EARLIEST_US)
"""What began before is not stored, whenever its meter is said to have been commissioned."""
BACKFILL_AFTER: Final = timedelta(days=1)
"""A range that ended so long ago was missed by the cycles before, and counts as backfill."""
BLOCK_LOAD: Final = "block_load"
DAILY_LOAD: Final = "daily_load"
BILLING_PERIODS: Final = 2
"""The newest that are read where earlier ones are stored: the running one and the one that was closed."""

Ranges = tuple[tuple[datetime, datetime], ...]
"""Spans [from, to) of interval starts, in UTC, in order."""


@dataclass(frozen=True, slots=True)
class VisitedMeter:
    """A meter, as far as a visit needs to know it."""

    id: int
    name: str
    serial: str
    system_title: bytes | None
    address: str
    meter_type: str
    commissioned_at: datetime
    interval_s: int
    maker: str
    firmware: str
    identified_at: datetime | None
    failed: bool
    """Whether the last visit did: events are asked for in passing."""
    missed: Sequence[str]
    """Tasks that it did not come to, loads apart: they are still wanted."""


@dataclass(slots=True)
class Visit:
    """What one meter is to be asked, what a session with it takes, and what came so far."""

    meter: VisitedMeter
    meter_type: MeterType | None
    keys: Mapping[KeyType, StoredKey]
    quirky: Callable[[str, str], MeterType | None] = lambda maker, firmware: None
    """Its type with the quirks that this maker's meters with this firmware have; None where there is no such."""
    fault: HeadEndError | None = None
    """Why it can't be asked at all."""
    tasks: list[Task] = field(default_factory=list)
    """Not done yet, in their order."""
    blocks: Ranges = ()
    days: Ranges = ()
    closed_bills: bool = False
    """Whether bills are stored of it already."""
    marks: Mapping[str, EventMark] = field(default_factory=dict)
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    source: Source | None = None
    """None: as the age of what is read says."""
    highest: Mapping[tuple[int, bytes], int] = field(default_factory=dict)
    """Counters settled under the meter's encryption key, by (key id, system title): ours and the meter's."""
    counters: CounterRange = field(default_factory=lambda: CounterRange(0, 0))
    learn_counter: bool = False
    received: dict[tuple[int, bytes], int] = field(default_factory=dict)
    let_in: bool = False
    """Whether an association was opened, this time or at an earlier try."""
    heard_counter: bool = False
    """Whether, at this try, the meter said its counter in clear."""
    problem: HeadEndError | None = None
    """Why a task failed alone."""
    unfinished: bool = False
    """Whether some of the blocks were left for the next session."""
    _readings: list[MeterIntervals] = field(default_factory=list)
    _layouts: dict[str, Layout] = field(default_factory=dict)
    _profiles: list[ProfileReading] = field(default_factory=list)
    _events: list[MeterEvent] = field(default_factory=list)
    _marks: dict[str, EventMark] = field(default_factory=dict)
    _covered: list[Covered] = field(default_factory=list)
    _suspects: list[Suspect] = field(default_factory=list)
    _clock: ClockCheck | None = None
    _status_word: StatusWord | None = None
    _nameplate: Nameplate | None = None

    def key(self, kind: KeyType) -> StoredKey:
        """A key of this meter; SettingsError if it was never imported."""
        if kind not in self.keys:
            what = kind if kind.endswith("secret") else f"{kind} key"
            remedy = "import it with `headend meters import FILE`"
            raise SettingsError(f"no {what} is stored", asked="keys", remedy=remedy)
        return self.keys[kind]

    async def read(self, session: Session, clock: Callable[[], datetime], *, enough: Callable[[], bool]) -> None:
        """Do what is left to do; of the blocks no more once there is `enough`, so that the session comes to its end.

        Raises what ends a session, and what keeps the block load from being read.
        """
        assert self.meter_type is not None
        known = {profile.obis: self._layout(name) for name, profile in self.meter_type.profiles.items()}
        layouts = {obis: layout for obis, layout in known.items() if layout is not None}
        reader = Reader(session, self.meter_type, layouts=layouts, clock=clock)
        try:
            while self.tasks:
                await self._do(self.tasks[0], reader, clock, enough)
                self.tasks.pop(0)
        finally:
            by_obis = {profile.obis: name for name, profile in self.meter_type.profiles.items()}
            for obis, layout in layouts.items():
                if known.get(obis) is not layout and obis in by_obis:
                    self._layouts[by_obis[obis]] = layout

    def finished(self, contact: Contact, *, park: bool = False, refused: bool = False) -> Finished:
        """What came, for the store."""
        missed = tuple(task for task in self.tasks if task not in OWED and task != "clock")  # which each visit reads
        readings = list(self._readings)
        if self._suspects:
            readings.append(self._rows(contact.at).suspects(self._suspects))
        return Finished(
            contact,
            tuple(readings),
            self._layouts,
            tuple(self._profiles),
            tuple(self._events),
            tuple(self._marks.values()),
            self._status_word,
            self._clock,
            tuple(self._covered),
            self._nameplate,
            self.received,
            park=park,
            refused=refused,
            missed=missed if self.fault is None else None,
            let_in=self.let_in and not park,
            ratio=None if self.meter_type is None else ratio_said(self.meter_type, self._profiles),
        )

    @property
    def clock_check(self) -> ClockCheck | None:
        """How far the clock was off; None: it was not read."""
        return self._clock

    def clock_was_set(self, to: datetime) -> None:
        """After the visit its clock was set to this time."""
        assert self._clock is not None, "it was found to be off"
        self._clock = replace(self._clock, set_to=to)

    # -- one task ---------------------------------------------------------------------------------------------

    async def _do(self, task: Task, reader: Reader, clock: Callable[[], datetime], enough: Callable[[], bool]) -> None:
        try:
            match task:
                case "block_load":
                    await self._block_load(reader, clock, enough)
                case "daily_load":
                    await self._daily_load(reader, clock)
                case "billing":
                    await self._billing(reader, clock)
                case "events":
                    await self._read_events(reader, clock)
                case "instantaneous":
                    self._keep(await reader.instantaneous(), clock())
                case "nameplate":
                    await self._read_nameplate(reader, clock)
                case "clock":
                    await self._read_clock(reader, clock)
        except (AccessDenied, ProtocolError) as error:
            if task == BLOCK_LOAD:
                raise
            self.problem = self.problem or error

    async def _block_load(self, reader: Reader, clock: Callable[[], datetime], enough: Callable[[], bool]) -> None:
        profile = reader.profile("block_load")
        earliest = self._earliest(profile)
        while self.blocks:
            start, end = self.blocks[0]
            async for part in reader.load(profile, start, end, earliest=earliest):
                now = clock()
                batch = replace(part.batch, quality=part.batch.quality | self._doubt)
                self._readings.append(MeterIntervals(self.meter.id, batch, now, self._source(part.end, now)))
                self._cover(BLOCK_LOAD, part.start, part.end, now)
                if part.start <= start:
                    start = max(start, part.end)
                    self.blocks = ((start, end), *self.blocks[1:]) if start < end else self.blocks
                    if start < end and enough():
                        self.unfinished = True
                        return
            self.blocks = self.blocks[1:]
            if self.blocks and enough():
                self.unfinished = True
                return

    async def _daily_load(self, reader: Reader, clock: Callable[[], datetime]) -> None:
        buffer = await reader.buffer(reader.profile("daily_load"))
        for start, end in self.days:
            period_s, zone = buffer.layout.capture_period_s, reader.meter_type.zone
            start, end = on_grid(start, period_s, zone), on_grid(end, period_s, zone)  # its midnights may not be ours
            by_time = buffer.profile.selective_access == "range"
            table = await buffer.range(start, end) if by_time else await buffer.read()
            reader.layouts[buffer.profile.obis] = buffer.layout
            now = clock()
            self._keep(rows_of(buffer, table), now)
            self._cover(DAILY_LOAD, start, end, now)
        self.days = ()

    async def _billing(self, reader: Reader, clock: Callable[[], datetime]) -> None:
        async for rows in reader.billing(BILLING_PERIODS if self.closed_bills else None):
            closed = np.flatnonzero((rows.quality & int(Quality.PARTIAL)) == 0)
            self._keep(rows.take(closed), clock())

    async def _read_events(self, reader: Reader, clock: Callable[[], datetime]) -> None:
        assert self.meter_type is not None
        for log in self.meter_type.of_kind("event_log"):
            if log.event_log is None or log.event_log.group in self._marks:
                continue
            mark = self.marks.get(log.event_log.group)
            since = None if mark is None else mark.sequence if mark.sequence is not None else mark.occurred_at
            try:
                parts: list[EventRows] = [part async for part in reader.events(log, since)]
            except (AccessDenied, ProtocolError) as error:
                self.problem = self.problem or error
                continue
            events, marks, suspects = self._rows(clock()).events(parts)
            self._events += events
            self._suspects += suspects
            self._marks |= {one.log: one for one in marks}
        if self.meter_type.status_word is not None:
            word = await reader.status_word()
            bits, rows = tuple(sorted(decode_esw(word.octets))), self._rows(clock())
            at = self._time_at(rows.read_at) or rows.read_at
            self._status_word = StatusWord(self.meter.id, at, bits, word.maker, source=rows.source)

    async def _read_nameplate(self, reader: Reader, clock: Callable[[], datetime]) -> None:
        """Maker and firmware; those with another firmware than before get new layouts, and perhaps other quirks."""
        assert self.meter_type is not None
        said: dict[Obis, str] = {}
        if self.meter_type.of_kind("nameplate"):
            with contextlib.suppress(AccessDenied):  # not for this association: what it says alone has to do
                self._keep(await reader.nameplate(), clock())
                for reading in self._profiles[-1:]:
                    said = {Obis.parse(key.split("/")[1]): str(value) for key, value in reading.values.items()}
        maker = said.get(MAKER) or await _text(reader.session, self.meter_type.maker)
        firmware = said.get(FIRMWARE) or await _text(reader.session, self.meter_type.firmware)
        model = " ".join(said[obis] for obis in (CATEGORY, RATING) if said.get(obis))
        self._nameplate = Nameplate(self.meter.id, maker, model, firmware, clock())
        changed = bool(firmware and self.meter.firmware) and firmware != self.meter.firmware
        quirky = self.quirky(maker, firmware)
        if changed or (quirky is not None and quirky is not self.meter_type):
            reader.layouts.clear()
        if quirky is not None:
            reader.meter_type = self.meter_type = quirky
        if changed or self.meter.identified_at is None:
            for name, objects in (await read_push_lists(reader.session, self.meter_type)).items():
                self._layouts[LIST_OF + name] = Layout(objects, {}, 0)

    async def _read_clock(self, reader: Reader, clock: Callable[[], datetime]) -> None:
        read = await reader.clock()
        now = clock()
        self._clock = ClockCheck(self.meter.id, now, read.drift_s, read.uncertainty_s, read.suspect)

    # -- what came --------------------------------------------------------------------------------------------

    def _keep(self, rows: ProfileRows, now: datetime) -> None:
        readings, suspects = self._rows(now, rows.profile).profile_readings(rows)
        self._profiles += [replace(one, quality=one.quality | self._doubt) for one in readings]
        self._suspects += suspects

    def _rows(self, now: datetime, profile: Profile | None = None) -> RowReader:
        assert self.meter_type is not None
        source = self.source if self.source is not None else Source.SCHEDULED
        return RowReader(self.meter.id, self.meter_type, now, source, self._earliest(profile))

    def _earliest(self, profile: Profile | None) -> datetime:
        depth = timedelta(days=profile.depth_days if profile is not None else 0)
        if profile is not None and profile.kind == "billing":
            return EARLIEST
        return max(self.meter.commissioned_at - depth, EARLIEST)

    def _source(self, end: datetime, now: datetime) -> Source:
        if self.source is not None:
            return self.source
        return Source.BACKFILL if now - end > BACKFILL_AFTER else Source.SCHEDULED

    def _cover(self, profile: str, start: datetime, end: datetime, now: datetime) -> None:
        """What was read in parts that meet was read as a whole: only then do slots at the joints have their margin."""
        whole = Covered(self.meter.id, profile, start, end, now, self._time_at(now))
        apart = []
        for one in self._covered:
            if one.profile == profile and one.start <= whole.end and whole.start <= one.end:
                whole = replace(whole, start=min(one.start, whole.start), end=max(one.end, whole.end))
            else:
                apart.append(one)
        self._covered = [*apart, whole]

    @property
    def _doubt(self) -> int:
        """The quality of what a meter stamps whose clock is off by more than its type allows."""
        assert self.meter_type is not None
        drift_s = None if self._clock is None else self._clock.drift_s
        too_far = drift_s is not None and abs(drift_s) > self.meter_type.drift_allowed_s > 0
        return int(Quality.CLOCK_SUSPECT) if too_far else 0

    def _time_at(self, now: datetime) -> datetime | None:
        """The meter's time at a moment of this session."""
        if self._clock is None or self._clock.drift_s is None:
            return None
        return now + timedelta(seconds=self._clock.drift_s)

    def _layout(self, profile: str) -> Layout | None:
        return self._layouts.get(profile) or self.layouts.get(profile)


async def _text(session: Session, attribute: AttributeRef | None) -> str:
    """Empty where the meter has no such attribute, or not for this association."""
    if attribute is None:
        return ""
    try:
        value = axdr.decode(await session.get(attribute))
    except AccessDenied:
        return ""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return "" if value is None else str(value).strip("\0 ")
