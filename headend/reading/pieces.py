"""What `headend read` reads, one kind after the other, each as a table.

The one rule: a kind knows what to ask and in which order; that links break is not its business, but for load profiles,
which are asked for in parts that the link can bear.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from drivers.dlms import axdr
from drivers.reading import EventRows, LoadPart, Reader, identity
from drivers.reading.selection import on_grid
from headend.reading.from_meter import events_table, load_table, relay_state, rows_table, text_of
from headend.reading.lasting import LastingSession
from headend.reading.pace import Pace
from headend.reading.span import Span
from headend.reading.tables import Record, Table, length_of
from headend.reading.telling import Telling
from headend.words import Words, joined, words
from profiles.datetimes import later
from profiles.errors import AccessDenied, LinkError, SettingsError
from profiles.meter_type import Profile, ProfileKind
from profiles.objects import AttributeRef, Obis

EVERYTHING: Final = "all"
_USUAL_DAYS: Final = {"block-load": 1, "daily": 30}
"""How many whole days before today are read where no beginning is given; of events and billing all there is."""

_NAMEPLATE_TITLES: Final = {identity.DEVICE_ID: "device_id", identity.MAKER: "maker", identity.YEAR: "year_of_make"}
"""By the names of their messages."""
_TAMPERS: Final = AttributeRef(1, Obis(0, 0, 94, 91, 0), 2)
_SIGNAL: Final = AttributeRef(1, Obis(0, 1, 96, 12, 5), 2)
_DISCONNECT, _LIMITER = 70, 71


@dataclass(frozen=True, slots=True)
class Asked:
    """What of one meter is wanted, and by what it is asked. `log`: of events, one log alone."""

    session: LastingSession
    reader: Reader
    span: Span
    now: datetime
    telling: Telling
    log: str | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The meter's."""
        return ZoneInfo(self.reader.meter_type.zone)


@dataclass(slots=True)
class Found:
    """What is read so far; of what is missing, a sentence each."""

    tables: list[Table] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


async def read_pieces(asked: Asked, what: str, found: Found) -> None:
    """One kind, or of `all` what the meter has and gives, into `found`."""
    if what != EVERYTHING:
        found.tables.append(await PIECES[what](asked))
        return
    for name, piece in PIECES.items():
        try:
            found.tables.append(await piece(asked))
        except (AccessDenied, SettingsError) as error:
            if error.retry:
                raise
            found.missing.append(f"{name}: {error.message}")


# --- what is read whole ----------------------------------------------------------------------------------------


async def _nameplate(asked: Asked) -> Table:
    asked.telling.say(words("reading.reading_nameplate"))
    rows = await asked.reader.nameplate()
    titles = {obis: words(f"reading.nameplate_{name}") for obis, name in _NAMEPLATE_TITLES.items()}
    return rows_table("nameplate", words("reading.nameplate"), [rows], asked.zone, record=True, titles=titles)


async def _now(asked: Asked) -> Table:
    asked.telling.say(words("reading.reading_now"))
    rows = await asked.reader.instantaneous()
    return rows_table("now", words("reading.now"), [rows], asked.zone, record=True)


async def _clock(asked: Asked) -> Table:
    asked.telling.say(words("reading.reading_clock"))
    clock = await asked.reader.clock()
    record = Record("clock", words("reading.clock"))
    record.add("time", words("reading.meter_time"), None if clock.time is None else clock.time.astimezone(asked.zone))
    record.add("stated", words("reading.stated"), str(clock.stated))
    drift_s = None if clock.drift_s is None else round(clock.drift_s, 1)
    record.add("drift", words("reading.drift"), drift_s, "s")
    record.add("uncertainty", words("reading.uncertainty"), round(clock.uncertainty_s, 1), "s")
    record.add("status", words("reading.clock_status"), ", ".join(clock.stated.clock_status) or words("reading.good"))
    if clock.lost:
        record.notes.append(words("reading.clock_lost"))
    if clock.drift_s is not None and abs(clock.drift_s) > asked.reader.meter_type.drift_allowed_s > 0:
        record.notes.append(words("reading.clock_off"))
    return record.table()


async def _status(asked: Asked) -> Table:
    asked.telling.say(words("reading.reading_status"))
    record = Record("status", words("reading.status"))
    for control in asked.reader.meter_type.controls.values():
        if control.class_id == _DISCONNECT:
            await _relay(asked, record, control.obis)
        elif control.class_id == _LIMITER:
            for which, attribute in (("active", 3), ("normal", 4)):
                limit = await _plain(asked, _of(_LIMITER, control.obis, attribute))
                record.add(f"limit_{which}", words(f"reading.limit_{which}"), limit)
    record.add("tamper_count", words("reading.tamper_count"), await _plain(asked, _TAMPERS))
    record.add("signal", words("reading.signal"), await _plain(asked, _SIGNAL))
    untold = [column.title for column, cell in zip(record.columns, record.cells, strict=True) if cell is None]
    if untold:
        record.notes.append(words("reading.not_told", names=joined(untold)))
    await _status_word(asked, record)
    return record.table()


async def _status_word(asked: Asked, record: Record) -> None:
    try:
        word = await asked.reader.status_word()
    except (AccessDenied, SettingsError) as error:
        if error.retry:
            raise
        record.notes.append(words("reading.no_status_word", why=error.message))
        return
    names = [Words(bit.english, bit.hindi) for bit in word.bits]
    record.add("status_word", words("reading.status_word"), word.octets.hex())
    record.add("holds_now", words("reading.holds_now"), joined(names, "; ") or words("reading.nothing"))


async def _relay(asked: Asked, record: Record, obis: Obis) -> None:
    output = await _plain(asked, _of(_DISCONNECT, obis, 2))
    state = await _plain(asked, _of(_DISCONNECT, obis, 3))
    record.add("relay", words("reading.supply"), None if output is None else relay_state(output == "yes"))
    record.add("relay_state", words("reading.relay_state"), relay_state(state))
    record.add("relay_mode", words("reading.relay_mode"), await _plain(asked, _of(_DISCONNECT, obis, 4)))


def _of(class_id: int, obis: Obis, attribute: int) -> AttributeRef:
    return AttributeRef(class_id, obis, attribute)


async def _plain(asked: Asked, attribute: AttributeRef) -> str | int | float | None:
    """One attribute; None where the meter does not have it, or not for this association."""
    try:
        value = text_of(axdr.decode(await asked.session.get(attribute)))
    except AccessDenied as denied:
        if denied.retry:
            raise
        return None
    return value if isinstance(value, str | int | float) else None


# --- profiles in parts -----------------------------------------------------------------------------------------


def _load(what: str, kind: ProfileKind) -> Callable[[Asked], Awaitable[Table]]:
    async def piece(asked: Asked) -> Table:
        profile = asked.reader.profile(kind)
        start, end = asked.span.moments(asked.zone, asked.now, _USUAL_DAYS[what])
        period_s = (await asked.reader.buffer(profile)).layout.capture_period_s
        zone = asked.reader.meter_type.zone
        first, until = on_grid(start, period_s, zone), on_grid(end, period_s, zone)
        if first >= until:
            raise SettingsError(
                f"no interval of {period_s} s begins between {start.astimezone(asked.zone):%Y-%m-%d %H:%M} and "
                f"{end.astimezone(asked.zone):%Y-%m-%d %H:%M}",
                remedy="widen --from and --to",
            )
        expected = round((until - first).total_seconds() / period_s)
        asked.telling.say(words("reading.reading_load", what=what, rows=expected, length=length_of(period_s)))
        with asked.telling.reading(what, expected):
            parts = await _load_parts(asked, profile, first, until)
        title = words(f"reading.load_{kind}")
        return load_table(what, title, parts, interval_s=period_s, start=first, end=until, zone=asked.zone)

    return piece


async def _load_parts(asked: Asked, profile: Profile, start: datetime, end: datetime) -> list[LoadPart]:
    reader, telling, zone = asked.reader, asked.telling, asked.reader.meter_type.zone
    if profile.selective_access != "range":
        return [_told(telling, part) async for part in reader.load(profile, start, end)]
    parts: list[LoadPart] = []
    pace = Pace()
    while start < end:
        at_once = pace.rows
        until = min(later(start, at_once, reader.layouts[profile.obis].capture_period_s, zone), end)
        began, came = time.monotonic(), 0
        try:
            with asked.session.once():
                async for part in reader.load(profile, start, until):
                    parts.append(_told(telling, part))
                    start, came = part.end, came + len(part.batch.start)
        except LinkError:
            if asked.session.given_up:
                raise
            pace.broke()
        else:
            pace.took(max(came, 1), time.monotonic() - began)
        if pace.rows != at_once and start < end:
            telling.say(words("reading.reading_on", time=start.astimezone(asked.zone), rows=pace.rows))
    return parts


def _told(telling: Telling, part: LoadPart) -> LoadPart:
    telling.rows(len(part.batch.start))
    return part


async def _billing(asked: Asked) -> Table:
    asked.telling.say(words("reading.reading_billing"))
    parts = []
    with asked.telling.reading(words("reading.billing")):
        async for rows in asked.reader.billing():
            asked.telling.rows(len(rows))
            parts.append(rows)
    return rows_table("billing", words("reading.billing"), parts, asked.zone, span=_microseconds(asked))


async def _events(asked: Asked) -> Table:
    since = asked.span.moments(asked.zone, asked.now, 0)[0] if asked.span.start or asked.span.last else None
    found: list[EventRows] = []
    for log in _logs(asked):
        asked.telling.say(words("reading.reading_log", log=log.name.replace("_", " ")))
        with asked.telling.reading(log.name.replace("_", " ")):
            async for rows in asked.reader.events(log, since):
                asked.telling.rows(len(rows))
                found.append(rows)
    return events_table(found, asked.zone, _microseconds(asked))


def _logs(asked: Asked) -> tuple[Profile, ...]:
    logs = {one.event_log.group: one for one in asked.reader.meter_type.of_kind("event_log") if one.event_log}
    if not logs:
        raise SettingsError(f"meter type {asked.reader.meter_type.name} has no event log")
    if asked.log is None:
        return tuple(logs.values())
    if asked.log not in logs:
        raise SettingsError(f"there is no event log {asked.log!r}", remedy=f"it has {', '.join(logs)}")
    return (logs[asked.log],)


def _microseconds(asked: Asked) -> tuple[int, int] | None:
    """The span that is asked for; None where all there is is meant."""
    if not asked.span.given:
        return None
    if not (asked.span.start or asked.span.last):
        return 0, _since_1970(asked.span.moments(asked.zone, asked.now, 1)[1])
    start, end = asked.span.moments(asked.zone, asked.now, 0)
    # What a meter stamps now may be ahead of this machine's clock.
    return _since_1970(start), _since_1970(end) if asked.span.end else _FOREVER


_FOREVER: Final = 1 << 62


def _since_1970(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


PIECES: Final[Mapping[str, Callable[[Asked], Awaitable[Table]]]] = {
    "nameplate": _nameplate,
    "clock": _clock,
    "status": _status,
    "now": _now,
    "billing": _billing,
    "daily": _load("daily", "daily_load"),
    "block-load": _load("block-load", "block_load"),
    "events": _events,
}
"""By WHAT, in the order in which `all` reads and shows them."""
