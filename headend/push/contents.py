"""What an opened push brings, as a `Finished`.

The one rule: nothing that a meter says is dropped. What its type does not explain is kept by OBIS code or place, what
cannot be believed or understood goes with its octets among the suspects, and what nothing proves is marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from drivers.dlms import axdr
from drivers.dlms.apdu import EventNotification
from drivers.dlms.profile_buffer import decode_profile
from drivers.push import Push as Opened
from drivers.reading import Layout, read_values
from drivers.reading.events import event_rows
from headend.collection.rows import RowReader, object_key
from headend.push.blocks import Block, Cell, looked_closer, marked, ordinary
from headend.push.meters import KnownMeter
from headend.push.moments import Moment, moment_of
from headend.store.finished import (
    Contact,
    Finished,
    MeterEvent,
    ProfileReading,
    PushCounter,
    StatusWord,
    Value,
)
from headend.store.rows import UNIX_EPOCH, MeterIntervals, Source
from profiles.errors import ProtocolError
from profiles.events import ESW_BITS, LAST_GASP, decode_esw
from profiles.intervals import NO_DATE_TIME, Quality, Suspect, intervals
from profiles.meter_type import REGISTER_CLASSES, MeterType, Profile, Push
from profiles.objects import AttributeRef, CaptureObject
from profiles.push_readings import Reading, push_readings

PUSH_SETUP: Final = 40
CLOCK: Final = 8
NOT_UNDERSTOOD: Final = "a push that was not understood"
NO_SCALERS: Final = "a block of a meter whose scalers no visit has read yet"
NO_SCALERS_UNPROVEN: Final = NO_SCALERS + ", from nobody proven"
EVENT_NOTIFICATION: Final = "event_notification"
"""The profile under which attributes are kept that a meter sends by themselves."""


@dataclass(frozen=True, slots=True)
class Content:
    """`alarm`: it brings nothing but what happened: events, or the event status word."""

    finished: Finished
    alarm: bool


def content_of(push: Opened, meter: KnownMeter, at: datetime) -> Content:
    """What a push brings that was received at a moment (aware)."""
    reader = _Contents(push, meter, at)
    try:
        if isinstance(push.notification, EventNotification):
            reader.event(push.notification)
        else:
            reader.data(push.notification.data, push.notification.date_time)
    except ProtocolError as error:
        reader.suspect(f"{NOT_UNDERSTOOD}: {error.message}"[:200], push.notification.data)
    return reader.content()


class _Contents:
    """Gathers what one push brings."""

    def __init__(self, push: Opened, meter: KnownMeter, at: datetime) -> None:
        self._push = push
        self._meter = meter
        self._type = meter.meter_type
        self._at = at
        self._marks = 0 if push.authenticated else int(Quality.NOT_AUTHENTICATED)
        self._readings: list[MeterIntervals] = []
        self._profiles: list[ProfileReading] = []
        self._events: list[MeterEvent] = []
        self._word: StatusWord | None = None
        self._suspects: list[Suspect] = []

    def content(self) -> Content:
        meter, push = self._meter, self._push
        if self._suspects:
            self._readings.append(self._rows(None).suspects(self._suspects))
        counter = None
        if push.replay == "counter" and push.counter is not None and meter.key_id is not None:
            counter = PushCounter(meter.key_id, push.title, push.counter)
        reached = self._at
        if self._word is not None and LAST_GASP in self._word.bits:
            reached = min(reached, self._word.at)  # it may have waited on its way, and says nothing of power now
        finished = Finished(
            Contact(meter.id, reached),
            tuple(self._readings),
            profiles=tuple(self._profiles),
            events=tuple(self._events),
            status_word=self._word,
            push=counter,
            transaction_id=push.transaction_id if push.replay == "transaction-id" else b"",
        )
        alarm = (bool(self._events) or self._word is not None) and not (self._readings or self._profiles)
        return Content(finished, alarm)

    def suspect(self, reason: str, octets: bytes, stamp: bytes = b"") -> None:
        self._suspects.append(Suspect(reason, stamp, octets))

    # -- data-notifications ------------------------------------------------------------------------------------

    def data(self, octets: bytes, sent_at: bytes) -> None:
        said = push_readings(self._type, axdr.decode(octets), scalers=self._meter.scalers, learnt=self._meter.lists)
        stamp, values = sent_at, list[tuple[int, Reading]]()
        for place, reading in enumerate(said.readings):
            attribute = reading.attribute
            if attribute == self._type.clock:
                stamp = reading.value if isinstance(reading.value, bytes) else stamp
            elif attribute is not None and self._is_word(attribute):
                self._take_word(reading.value, self._moment(stamp))
            elif not self._is_identity(reading):
                values.append((place, reading))
        profile = _profile_of(said.push, self._type)
        if said.rows is not None:
            self._take_rows(said.push, octets)
        if not values:
            return
        in_order = bool(said.push.columns) or said.push.name in self._meter.lists
        if profile is not None and profile.kind == "block_load" and said.push.form == "columns" and in_order:
            self._take_block(said.push, profile, stamp, values, octets)
        else:
            self._take_values(said.push, profile, stamp, values, octets)

    def _is_identity(self, reading: Reading) -> bool:
        """Who it is, and by which push setup: said by the meter and the profile that all is kept under."""
        attribute = reading.attribute
        if attribute is None:
            return False
        return attribute == self._type.device_id or (attribute.class_id == PUSH_SETUP and attribute.attribute == 1)

    def _is_word(self, attribute: AttributeRef) -> bool:
        return self._type.status_word is not None and attribute == self._type.status_word.word

    def _take_block(
        self, push: Push, profile: Profile, stamp: bytes, values: Sequence[tuple[int, Reading]], octets: bytes
    ) -> None:
        meter = self._meter
        if (push.scalers_of or push.name) not in meter.scalers and any(_lacks_scaler(reading) for _, reading in values):
            # Still owed: it is taken in once they are known (`push.kept`).
            self.suspect(NO_SCALERS if self._push.authenticated else NO_SCALERS_UNPROVEN, octets, stamp)
            return
        layout = meter.layouts.get(profile.name)
        period = layout.capture_period_s if layout is not None else 0
        block = Block(stamp, [reading for _, reading in values], profile, period or meter.interval_s)
        earliest = meter.earliest(profile)
        batch = ordinary(block, self._type, self._at, earliest)
        if batch is None:
            if any(reading.attribute is None for _, reading in values):
                raise ProtocolError("a value of a block without a code")
            cells = axdr.decode_typed(octets).value
            assert isinstance(cells, tuple), "columns stand in a structure"
            of = [Cell(reading, axdr.encode_typed(cells[place])) for place, reading in values]
            batch = looked_closer(block, of, self._type, self._at, earliest)
        marks = self._marks
        if push.corrections and any(reading.attribute in push.corrections for _, reading in values):
            marks |= int(Quality.CORRECTED)
        self._readings.append(MeterIntervals(meter.id, marked(batch, marks), self._at, Source.PUSH))

    def _take_values(
        self,
        push: Push,
        profile: Profile | None,
        stamp: bytes,
        values: Sequence[tuple[int, Reading]],
        octets: bytes,
    ) -> None:
        quality, of, units = self._marks, dict[str, Value](), dict[str, int]()
        for place, reading in values:
            value = self._value(reading, octets)
            if value is None:
                continue
            key = _key(reading, place)
            of[key] = value
            if reading.unit is not None and isinstance(value, Decimal):
                units[key] = reading.unit
            if isinstance(value, Decimal) and _lacks_scaler(reading):
                quality |= int(Quality.SCALER_ASSUMED)
        ts = self._moment(stamp)
        if ts is None and stamp:
            self.suspect(NO_DATE_TIME, self._push.notification.data, stamp)
            return
        if profile is not None and profile.kind == "daily_load":
            ts = _day(ts or self._at, profile, self._type)
        name = profile.name if profile is not None else push.name
        self._profiles.append(
            ProfileReading(self._meter.id, name, ts or self._at, of, units, quality, self._at, Source.PUSH)
        )

    def _value(self, reading: Reading, octets: bytes) -> Value:
        """None for null-data. What is made of several values stands in the octets of all, as they came."""
        if reading.number is not None:
            return reading.number
        value = reading.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return Decimal(str(value))
        if isinstance(value, axdr.BitString):
            return value.bits
        if isinstance(value, bytes):
            is_time = reading.attribute is not None and reading.attribute.class_id == CLOCK
            moment = moment_of(value, self._type) if is_time else None
            return _text(value) if moment is None else _instant(moment).isoformat()
        return value.replace("\0", "") if isinstance(value, str) else f"hex:{octets.hex()}"

    # -- rows of a profile -------------------------------------------------------------------------------------

    def _take_rows(self, push: Push, octets: bytes) -> None:
        """The last element: the newest rows of a profile, as its buffer has them."""
        profile = self._type.profiles[push.rows_of or ""]
        cells = axdr.decode_typed(octets).value
        assert isinstance(cells, tuple), "the columns were counted"
        layout = self._meter.layouts.get(profile.name) or Layout(profile.capture_objects, {}, profile.capture_period_s)
        if not layout.capture_objects:
            raise ProtocolError(f"what profile {profile.name} captures is not known yet")
        table = decode_profile(axdr.encode_typed(cells[-1]), layout.capture_objects)
        if profile.kind == "block_load":
            batch = intervals(
                table,
                layout.scalers,
                profile,
                self._type,
                interval_s=layout.capture_period_s or self._meter.interval_s,
                now=self._at,
                earliest=self._meter.earliest(profile),
            )
            self._readings.append(MeterIntervals(self._meter.id, marked(batch, self._marks), self._at, Source.PUSH))
            return
        rows = read_values(table, layout, profile, self._type)
        rows.quality[:] |= np.int32(self._marks)
        if profile.kind == "event_log":
            events, _, suspects = self._rows(profile).events([event_rows(rows, self._type)])
            self._events += events
        else:
            readings, suspects = self._rows(profile).profile_readings(rows)
            self._profiles += readings
        self._suspects += suspects

    def _rows(self, profile: Profile | None) -> RowReader:
        return RowReader(self._meter.id, self._type, self._at, Source.PUSH, self._meter.earliest(profile))

    # -- what happened -----------------------------------------------------------------------------------------

    def event(self, notification: EventNotification) -> None:
        """One attribute by itself: the code of an event log's last entry, the event status word, or any other."""
        value = axdr.decode(notification.data)
        at = self._moment(notification.time or b"")
        if self._is_word(notification.attribute):
            self._take_word(value, at)
            return
        for log in self._type.of_kind("event_log"):
            if log.event_log is not None and log.event_log.code == notification.attribute and type(value) is int:
                group = log.event_log.group
                when = at or self._at
                maker, marks = self._type.event_maker, self._marks
                self._events.append(
                    MeterEvent(self._meter.id, group, value, when, 0, None, {}, marks, self._at, Source.PUSH, maker)
                )
                return
        reading = Reading(notification.attribute.obis, notification.attribute, value)
        of = self._value(reading, notification.data)
        self._profiles.append(
            ProfileReading(
                self._meter.id,
                EVENT_NOTIFICATION,
                at or self._at,
                {object_key(CaptureObject(*notification.attribute)): of},
                {},
                self._marks,
                self._at,
                Source.PUSH,
            )
        )

    def _take_word(self, value: object, at: datetime | None) -> None:
        if isinstance(value, axdr.BitString) and len(value.bits) <= ESW_BITS:
            bits = tuple(place for place, bit in enumerate(value.bits) if bit == "1")
        elif isinstance(value, bytes) and len(value) * 8 == ESW_BITS:
            bits = tuple(sorted(decode_esw(value)))
        else:
            raise ProtocolError("the event status word is no bit-string of at most 128 bits")
        maker = self._type.event_maker
        self._word = StatusWord(self._meter.id, at or self._at, bits, maker, self._marks, Source.PUSH)

    def _moment(self, stamp: bytes) -> datetime | None:
        """What a meter says is the time, as far as it can be believed."""
        moment = moment_of(stamp, self._type)
        if moment is None:
            return None
        found = _instant(moment)
        latest = self._at + timedelta(seconds=self._type.drift_allowed_s)
        return found if self._meter.earliest(None) <= found <= latest else None


def _profile_of(push: Push, meter_type: MeterType) -> Profile | None:
    """The profile whose values a push brings: of its own name, else the one that scales it."""
    profiles = meter_type.profiles
    return profiles.get(push.name) or profiles.get(push.scalers_of or "")


def _key(reading: Reading, place: int) -> str:
    """As `Values` has it; with `?` where nobody knows the class, or not even the code."""
    if reading.attribute is not None:
        return object_key(CaptureObject(*reading.attribute))
    return f"?/{place}" if reading.obis is None else f"?/{reading.obis}/2"


def _lacks_scaler(reading: Reading) -> bool:
    """Whether it is a register's value that nobody can scale."""
    attribute = reading.attribute
    is_scaled = attribute is not None and attribute.class_id in REGISTER_CLASSES and attribute.attribute == 2
    return is_scaled and reading.number is None and reading.value is not None


def _text(octets: bytes) -> str:
    text = octets.rstrip(b"\0 ")
    if text.isascii() and text.decode("ascii").isprintable():
        return text.decode("ascii")
    return "hex:" + octets.hex()


def _instant(moment: Moment) -> datetime:
    return UNIX_EPOCH + timedelta(microseconds=moment.utc)


def _day(stamp: datetime, profile: Profile, meter_type: MeterType) -> datetime:
    """The midnight with which the day began that had ended at a time, or that the time is of, as the profile stamps."""
    zone = ZoneInfo(meter_type.zone)
    local = stamp.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    day = local - timedelta(days=1) if profile.stamp == "end" else local
    return day.astimezone(UTC)
