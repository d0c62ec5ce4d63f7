"""What came in: the one form in which sessions, pushes and files hand over what they brought to the store.

The one rule: a `Finished` is stored as a whole, in one transaction, or is still owed; storing it twice changes nothing.
It holds plain values only, so that it can wait on a disk while the database is away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from drivers.reading import Layout
from headend.store.rows import MeterIntervals, Source

Value = Decimal | str | bool | None
"""Of one captured object: a number in its unit, scaled; a text; a time as ISO 8601 in UTC; other octets as `hex:…`."""

Values = Mapping[str, Value]
"""By captured object, as `class/OBIS/attribute`: `3/1.0.1.8.0.255/2`."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How a try to reach a meter ended: `error` is None when it answered as it should.

    `ours`: whether we reached it ourselves; what a file brought says nothing of the way to the meter.
    """

    meter_id: int
    at: datetime
    error: str | None = None
    ours: bool = True


@dataclass(frozen=True, slots=True)
class ProfileReading:
    """One row of a profile that has no columns of its own in the store: daily load, billing, instantaneous, nameplate.

    `profile`: its name in the meter type. `ts`, in UTC: the start of the day (daily load), the end of the billing
    period, the moment (instantaneous, nameplate). `units`: Blue Book numbers of those values that have one.
    `quality`: bits of `profiles.intervals.Quality`.
    """

    meter_id: int
    profile: str
    ts: datetime
    values: Values
    units: Mapping[str, int]
    quality: int
    read_at: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class MeterEvent:
    """One event of a meter.

    `log`: the group of the log it stands in (`voltage`, `power` …); `status_word` where it was told from a changed bit,
    whose `occurred_at` is then the moment at which that was seen. `nth`: which one of those with the same code at the
    same second, from 0. `sequence`: the log's own number. `values`: the snapshot beside it. `maker`: in whose list
    (`profiles.events`) the code stands; None: in the agreed one.
    """

    meter_id: int
    log: str
    code: int
    occurred_at: datetime
    nth: int
    sequence: int | None
    values: Values
    quality: int
    read_at: datetime
    source: Source
    maker: str | None = None


@dataclass(frozen=True, slots=True)
class EventMark:
    """How far a log of a meter was read: the next read goes on there. `occurred_at`: of the newest entry."""

    meter_id: int
    log: str
    sequence: int | None
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClockCheck:
    """How far a meter's clock was off: its time minus ours, give or take `uncertainty_s`.

    `drift_s`: None where it showed no time. `suspect`: it says itself that it may be wrong. `set_to`: the time to which
    it was set afterwards; None: it was left alone.
    """

    meter_id: int
    at: datetime
    drift_s: float | None
    uncertainty_s: float
    suspect: bool = False
    set_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Covered:
    """A meter gave all that it holds of the intervals that start in [start, end), in UTC.

    `meter_time`: what its clock said at that time, in UTC; None: not asked.
    """

    meter_id: int
    profile: str
    start: datetime
    end: datetime
    read_at: datetime
    meter_time: datetime | None


@dataclass(frozen=True, slots=True)
class Nameplate:
    """What a meter said of itself."""

    meter_id: int
    maker: str
    model: str
    firmware: str
    at: datetime


@dataclass(frozen=True, slots=True)
class MeterRatio:
    """Instrument transformers before a meter, as it said them at the moment `since`: primary to secondary.

    `pt`: None where it does not say. `secondary`: whether it counts what is on the secondary side, as its type says.
    """

    meter_id: int
    since: datetime
    ct: Decimal
    pt: Decimal | None
    secondary: bool


@dataclass(frozen=True, slots=True)
class StatusWord:
    """The event status word of a meter at a moment, by its clock as far as that is known: its set bits, from 0.

    `maker`: whose meanings the bits have; None: the agreed ones. `quality`, `source`: of the events that it tells of.
    """

    meter_id: int
    at: datetime
    bits: tuple[int, ...]
    maker: str | None = None
    quality: int = 0
    source: Source = Source.SCHEDULED


@dataclass(frozen=True, slots=True)
class PushCounter:
    """The invocation counter of an authenticated push: it settles the replay window of (key, system title).

    Where it was settled before, the `Finished` that carries it is a repetition, and nothing else of it is stored.
    """

    key_id: int
    system_title: bytes
    counter: int


@dataclass(frozen=True, slots=True)
class Finished:
    """What one session, push or file brought of one meter."""

    contact: Contact
    readings: tuple[MeterIntervals, ...] = ()
    """Of the block load profile."""
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    """By profile name; only those that were read anew."""
    profiles: tuple[ProfileReading, ...] = ()
    events: tuple[MeterEvent, ...] = ()
    marks: tuple[EventMark, ...] = ()
    status_word: StatusWord | None = None
    clock: ClockCheck | None = None
    covered: tuple[Covered, ...] = ()
    nameplate: Nameplate | None = None
    received: Mapping[tuple[int, bytes], int] = field(default_factory=dict)
    """The meter's own highest counter in an association, by (key id, system title)."""
    push: PushCounter | None = None
    transaction_id: bytes = b""
    """Of an authenticated push that has no such counter: where it was taken in before, this is a repetition."""
    park: bool = False
    """It is to be left alone for its contact's error, and tried again only after a day."""
    refused: bool = False
    """It refused our keys, with counters learnt anew; it is to be left alone once it did so often enough."""
    missed: tuple[str, ...] | None = None
    """Tasks that a visit did not come to; None where it was none."""
    let_in: bool = False
    """It let a visit in, and is the registered one: what it was parked for by a visit is over."""
    ratio: MeterRatio | None = None

    @property
    def rows(self) -> int:
        """How many intervals."""
        return sum(len(item.batch.start) for item in self.readings)
