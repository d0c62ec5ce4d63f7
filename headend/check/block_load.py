"""The block load of the last days: how deep its buffer is, and which intervals are not in it.

The one rule: an interval is missing only where the meter must have it: it has ended by the meter's own clock, and
began after the first row of a buffer that is too young to reach further back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from drivers.dlms import axdr
from drivers.reading import Reader
from drivers.reading.layout import PROFILE_GENERIC
from drivers.reading.reader import utc_now
from drivers.reading.selection import on_grid
from headend.check.patient import Bedside, Patient
from headend.reading.tables import reason_of
from headend.words import Words, joined, words
from profiles.datetimes import later
from profiles.errors import AccessDenied, ProtocolError
from profiles.meter_type import Profile
from profiles.objects import AttributeRef

_ENTRIES_IN_USE, _PROFILE_ENTRIES = 7, 8
_DAY_S: Final = 86_400
_SETTLED: Final = timedelta(minutes=2)
"""A meter may take so long to store an interval that has ended."""
_RUNS_SHOWN: Final = 3
_PART_DAYS: Final = 1


async def depth(bedside: Bedside) -> None:
    """How many rows the buffer holds at most, against the type."""
    patient, profile = bedside.patient, _profile(bedside)
    if profile is None:
        return
    entries = patient.depths[profile.name] = await _number(bedside, profile, _PROFILE_ENTRIES)
    in_use = await _number(bedside, profile, _ENTRIES_IN_USE)
    period_s = (await bedside.reader.buffer(profile)).layout.capture_period_s
    holds = entries * period_s / _DAY_S
    values = {"entries": entries, "minutes": period_s // 60, "type": patient.meter_type.name}
    if holds < profile.depth_days:
        patient.add("shallow", holds=holds, says=profile.depth_days, **values)
    else:
        patient.add("deep", holds=holds, says=profile.depth_days, in_use=in_use, **values)


async def gaps(bedside: Bedside) -> None:
    """Which intervals of the last days are not there."""
    patient, profile = bedside.patient, _profile(bedside)
    if profile is None:
        return
    buffer = await bedside.reader.buffer(profile)
    period_s, zone = buffer.layout.capture_period_s, patient.meter_type.zone
    drift = timedelta(seconds=(patient.clock.drift_s or 0) if patient.clock else 0)
    now = utc_now() + drift
    ended = on_grid(min(now, utc_now()) - _SETTLED - timedelta(seconds=period_s), period_s, zone)
    start = on_grid(ended - timedelta(days=patient.wanted.days), period_s, zone)
    reader = Reader(
        bedside.session, patient.meter_type, layouts=bedside.reader.layouts, clock=lambda: utc_now() + drift
    )
    found, suspects = await _read(patient, reader, profile, start, ended)
    if found and await _is_young(bedside, profile, ended - start, period_s):
        start = min(found)
    expected, missing = 0, []
    slot = start
    while slot < ended:
        expected += 1
        if slot not in found:
            missing.append(slot)
        slot = later(slot, 1, period_s, zone)
    values = {"days": patient.wanted.days, "expected": expected}
    if missing:
        where = _runs(missing, timedelta(seconds=period_s), ZoneInfo(zone))
        patient.add("gaps", missing=len(missing), where=where, **values)
    else:
        patient.add("no_gaps", **values)
    if suspects:
        patient.add("suspects", rows=len(suspects), why=joined(sorted(set(suspects))[:_RUNS_SHOWN]))


async def _read(
    patient: Patient, reader: Reader, profile: Profile, start: datetime, end: datetime
) -> tuple[set[datetime], list[Words]]:
    """The starts of the intervals that are there, and why rows are not believed; day by day, with a bar."""
    found: set[datetime] = set()
    suspects: list[Words] = []
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    with patient.telling.reading(words("reading.load_block_load")):
        while start < end:
            until = end if profile.selective_access != "range" else min(start + timedelta(days=_PART_DAYS), end)
            async for part in reader.load(profile, start, until):
                starts = part.batch.start.tolist()
                found |= {epoch + timedelta(microseconds=one) for one in starts}
                suspects += [reason_of(one) for one in part.batch.suspects]
                patient.telling.rows(len(starts))
            start = until
    return found, suspects


async def _is_young(bedside: Bedside, profile: Profile, span: timedelta, period_s: int) -> bool:
    """Whether the buffer has not been filled yet, and holds fewer rows than the span has intervals."""
    try:
        in_use = await _number(bedside, profile, _ENTRIES_IN_USE)
    except (AccessDenied, ProtocolError):
        return True
    full = in_use >= bedside.patient.depths.get(profile.name, in_use + 1)
    return not full and in_use * period_s < span.total_seconds()


def _runs(missing: list[datetime], period: timedelta, zone: ZoneInfo) -> str:
    """`2026-01-31 06:00 to 07:15, …` in the meter's time."""
    runs: list[list[datetime]] = []
    for slot in missing:
        if runs and slot == runs[-1][1]:
            runs[-1][1] = slot + period
        else:
            runs.append([slot, slot + period])
    shown = [
        f"{first.astimezone(zone):%Y-%m-%d %H:%M}–{last.astimezone(zone):%H:%M}" for first, last in runs[:_RUNS_SHOWN]
    ]
    return ", ".join(shown) + (f" (+{len(runs) - _RUNS_SHOWN})" if len(runs) > _RUNS_SHOWN else "")


def _profile(bedside: Bedside) -> Profile | None:
    return next(iter(bedside.patient.meter_type.of_kind("block_load")), None)


async def _number(bedside: Bedside, profile: Profile, attribute: int) -> int:
    value = axdr.decode(await bedside.session.get(AttributeRef(PROFILE_GENERIC, profile.obis, attribute)))
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFFFF_FFFF:
        raise ProtocolError("this is no number of rows", asked=f"get {profile.obis}")
    return value
