"""Reading one meter without a database: what `headend read` does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from drivers.address import Address, parse_address
from drivers.links.transcript import Transcript, write_transcript
from drivers.reading import Layout, association_of, read_layout, read_profile
from headend.keys import KeySources, key_texts
from headend.printing import Form, print_intervals
from headend.single_session import Counting, open_single_session
from headend.times import parse_time
from profiles.errors import HeadEndError, SettingsError
from profiles.intervals import IntervalBatch, intervals
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType, Profile


@dataclass(frozen=True, slots=True)
class SingleRead:
    """One reading as the command line asked for it."""

    address: str
    profile: str
    start: str
    end: str
    meter_type: str
    key_file: Path | None
    given_keys: Mapping[str, str] = field(repr=False)
    ask: bool
    system_title: str | None
    counter_file: Path | None
    accept_counter: bool
    trace: Path | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one meter said of one profile."""

    address: str
    system_title: bytes
    meter_type: MeterType
    layout: Layout
    start: datetime
    end: datetime
    batch: IntervalBatch


def read_and_print(wanted: SingleRead, form: Form) -> None:
    """Read the meter, print to stdout. Raises HeadEndError."""
    address = parse_address(wanted.address)
    try:
        with write_transcript(wanted.trace) as transcript:
            answer = asyncio.run(_read(wanted, address, transcript))
    except HeadEndError as error:
        raise error.at(meter=str(address)) from None
    print_intervals(answer, form)


async def _read(wanted: SingleRead, address: Address, transcript: Transcript | None) -> Answer:
    meter_type = load_meter_type(wanted.meter_type)
    kind = association_of(meter_type, address)
    profile = meter_type.profiles.get(wanted.profile)
    if profile is None:
        raise SettingsError(f"meter type {meter_type.name} has no profile {wanted.profile}")
    now = datetime.now(UTC)
    zone = ZoneInfo(meter_type.zone)
    start, end = parse_time(wanted.start, zone, now), parse_time(wanted.end, zone, now)
    if start >= end:
        raise SettingsError(f"--from {wanted.start} is not before --to {wanted.end}")
    keys = key_texts(KeySources(wanted.key_file, wanted.given_keys, wanted.ask), address, kind)
    counting = Counting(wanted.counter_file, accept=wanted.accept_counter)
    async with open_single_session(
        address, meter_type, kind, keys, counting, server_title=wanted.system_title, transcript=transcript
    ) as session:
        layout = await read_layout(session, profile)
        first, last = whole_intervals(start, end, layout.capture_period_s, zone)
        table = await read_profile(session, meter_type, profile, layout, first, last)
    batch = intervals(
        table,
        layout.scalers,
        profile,
        meter_type,
        interval_s=layout.capture_period_s,
        now=now,
        earliest=_earliest(now, profile, start),
    )
    return Answer(str(address), session.association.server_title, meter_type, layout, first, last, batch)


def _earliest(now: datetime, profile: Profile, start: datetime) -> datetime:
    """Older rows than the buffer is deep can't be genuine."""
    return min(start, now - timedelta(days=profile.depth_days + 1))


def whole_intervals(start: datetime, end: datetime, period_s: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The intervals of the zone's grid that begin in [start, end): their first start, and the end of the last.

    Raises SettingsError where there are none.
    """
    period = timedelta(seconds=period_s)
    day = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    first = day + -(-(start - day) // period) * period
    count = -(-(end - first) // period)
    if count < 1:
        raise SettingsError(
            f"no interval of {period_s} s begins between {start.astimezone(zone):%Y-%m-%d %H:%M} and "
            f"{end.astimezone(zone):%Y-%m-%d %H:%M}",
            remedy="widen --from and --to",
        )
    return first, first + count * period
