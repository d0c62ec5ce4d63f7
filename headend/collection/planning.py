"""Planning: for many meters at once, what each is to be asked and what its session takes.

The one rule: a fixed number of queries for any number of meters, and counters are spent in one committed update before
the first frame goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from headend.collection.tasks import LoadTask, Task, last_reset, least_age
from headend.collection.visit import BLOCK_LOAD, DAILY_LOAD, Ranges, Visit, VisitedMeter
from headend.meter_types import with_quirks
from headend.settings import Collection as Limits
from headend.settings import Schedules
from headend.store import counters
from headend.store.database import Connection, store_errors
from headend.store.finished import EventMark
from headend.store.layouts import load_layouts
from headend.store.ledger import Owed, owed
from headend.store.rows import Source
from headend.store.statements import statement
from headend.vault import KeyType, StoredKey, Vault
from profiles.errors import HeadEndError, SecurityError, SettingsError
from profiles.meter_type import MeterType, Profile

DAY: Final = timedelta(days=1)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of meters: `tasks`; `patient`: those that push are given time to; `source`: None where the age of
    what is read says it; `ranges`: in place of what is owed of the block load."""

    tasks: frozenset[Task]
    patient: bool = False
    source: Source | None = None
    ranges: tuple[tuple[datetime, datetime], ...] = ()


class Planner:
    """Plans visits."""

    def __init__(self, types: Mapping[str, MeterType], vault: Vault, limits: Limits, schedules: Schedules) -> None:
        self._types = types
        self._vault = vault
        self._limits = limits
        self._schedules = schedules

    def heed(self, limits: Limits, schedules: Schedules) -> None:
        """These hold from now on."""
        self._limits, self._schedules = limits, schedules

    async def meters(
        self, connection: Connection, now: datetime, *, segment: int | None = None, meters: Sequence[int] = ()
    ) -> list[VisitedMeter]:
        """Those of a segment, or these, that may be asked. Raises StoreError."""
        async with store_errors():
            parameters = {"segment": segment, "meters": list(meters), "now": now}
            cursor = await connection.execute(statement("visit_meters"), parameters)
            return [VisitedMeter(*row) for row in await cursor.fetchall()]

    async def plan(
        self, connection: Connection, meters: Sequence[VisitedMeter], wanted: Wanted, title: bytes, now: datetime
    ) -> list[Visit]:
        """A visit for each meter that owes something, is due for something, or can't be asked. Raises StoreError."""
        ids = [meter.id for meter in meters]
        keys, faults = await self._keys(connection, ids)
        visits = {
            meter.id: Visit(meter, self._type_of(meter), keys.get(meter.id, {}), self._quirky(meter))
            for meter in meters
        }
        for meter_id, visit in visits.items():
            visit.source = wanted.source
            visit.fault = faults.get(meter_id)
            remedy = "see its file, and the setting meter_types"
            if visit.meter_type is None:
                what = f"meter type {visit.meter.meter_type} is not known"
                visit.fault = SettingsError(what, asked="meter type", remedy=remedy)
            elif not visit.meter_type.profiles:
                what = f"meter type {visit.meter.meter_type} has no profile to collect"
                visit.fault = SettingsError(what, asked="meter type", remedy=remedy)
        await self._give_tasks(connection, visits, wanted, now)
        asked = [visit for visit in visits.values() if visit.tasks or visit.fault]
        await self._give_memory(connection, asked, title)
        return asked

    async def reserve(self, connection: Connection, visits: Sequence[Visit], title: bytes) -> None:
        """Spend a run of counters for each of these that has a key, in one statement. Raises StoreError."""
        by_key = {visit.key("encryption").id: visit for visit in visits if "encryption" in visit.keys}
        if by_key:
            runs = await counters.reserve(connection, list(by_key), title, self._limits.counter_reserve)
            for key_id, run in runs.items():
                mine = by_key[key_id].counters
                mine.next, mine.end = run.next, run.end

    def _type_of(self, meter: VisitedMeter) -> MeterType | None:
        return self._quirky(meter)(meter.maker, meter.firmware)

    def _quirky(self, meter: VisitedMeter) -> Callable[[str, str], MeterType | None]:
        return lambda maker, firmware: self._types.get(with_quirks(meter.meter_type, maker, firmware))

    async def _keys(
        self, connection: Connection, ids: Sequence[int]
    ) -> tuple[dict[int, dict[KeyType, StoredKey]], dict[int, HeadEndError]]:
        """The keys of these meters; one whose record was altered is a fault of its meter alone."""
        try:
            return await self._vault.get(connection, ids), {}
        except SecurityError:
            keys: dict[int, dict[KeyType, StoredKey]] = {}
            faults: dict[int, HeadEndError] = {}
            for meter_id in ids:
                try:
                    keys |= await self._vault.get(connection, [meter_id])
                except SecurityError as error:
                    faults[meter_id] = error.at(asked="keys")
            return keys, faults

    async def _give_tasks(
        self, connection: Connection, visits: dict[int, Visit], wanted: Wanted, now: datetime
    ) -> None:
        """Tasks in the order in which they are done; the clock is read wherever anything else is."""
        blocks = await self._owed(connection, visits, wanted, BLOCK_LOAD, now)
        days = await self._owed(connection, visits, wanted, DAILY_LOAD, now)
        missed = {task for visit in visits.values() for task in visit.meter.missed}
        asks_bills = (wanted.tasks | missed) & {"billing", BLOCK_LOAD}
        bills = await self._bills(connection, list(visits)) if asks_bills else {}
        for meter_id, visit in visits.items():
            if visit.meter_type is None:
                continue
            tasks = wanted.tasks.union(visit.meter.missed)
            has = {profile.kind for profile in visit.meter_type.profiles.values()}
            visit.blocks, visit.days = blocks.get(meter_id, ()), days.get(meter_id, ())
            visit.closed_bills = meter_id in bills
            due: list[Task] = ["block_load"] if visit.blocks else []
            due += ["daily_load"] if visit.days else []
            missing = bool(due) and self._bill_missing(visit, bills.get(meter_id), now)
            due += ["billing"] if "billing" in has and ("billing" in tasks or missing) else []
            in_passing = bool(due) and visit.meter.failed
            due += ["events"] if "event_log" in has and ("events" in tasks or in_passing) else []
            due += ["instantaneous"] if "instantaneous" in tasks & has else []
            if "nameplate" in tasks or (due and visit.meter.identified_at is None):
                due.insert(0, "nameplate")
            if due or "clock" in tasks:
                due.insert(0, "clock")
            visit.tasks = due

    def _bill_missing(self, visit: Visit, latest: datetime | None, now: datetime) -> bool:
        """Whether the last reset day brought no bill yet: it is asked for in passing until it is there."""
        assert visit.meter_type is not None
        reset = last_reset(self._schedules.billing_day, now, visit.meter_type.zone)
        return visit.meter.commissioned_at < reset and (latest is None or latest < reset)

    async def _owed(
        self, connection: Connection, visits: dict[int, Visit], wanted: Wanted, name: LoadTask, now: datetime
    ) -> dict[int, Ranges]:
        """The ranges that are owed of a profile, by meter."""
        if name not in wanted.tasks:
            return {}
        by_profile: dict[tuple[str, int], tuple[Profile, list[int]]] = {}
        for meter_id, visit in visits.items():
            for profile in visit.meter_type.of_kind(name) if visit.meter_type is not None else ():
                if wanted.ranges and name == BLOCK_LOAD:
                    continue
                by_profile.setdefault((profile.name, profile.depth_days), (profile, []))[1].append(meter_id)
        if wanted.ranges and name == BLOCK_LOAD:
            return dict.fromkeys(visits, wanted.ranges)
        found: dict[int, Ranges] = {}
        for profile, ids in by_profile.values():
            for item in await owed(connection, ids, profile, now):
                if not (wanted.patient and name == BLOCK_LOAD and self._may_wait(visits[item.meter_id], item, now)):
                    found[item.meter_id] = _in_turn(item.ranges, profile, now)
        return found

    def _may_wait(self, visit: Visit, item: Owed, now: datetime) -> bool:
        assert visit.meter_type is not None
        return now - item.ranges[0][0] < least_age(visit.meter_type, self._schedules)

    async def _give_memory(self, connection: Connection, visits: Sequence[Visit], title: bytes) -> None:
        """What is known from earlier sessions: layouts, how far logs were read, counters."""
        ids = [visit.meter.id for visit in visits]
        names = {task for visit in visits for task in visit.tasks}
        profiles = {
            profile.name
            for visit in visits
            if visit.meter_type is not None
            for profile in visit.meter_type.profiles.values()
            if profile.kind in names or (profile.kind == "event_log" and "events" in names)
        }
        layouts = await load_layouts(connection, ids, sorted(profiles))
        marks = await self._marks(connection, ids) if "events" in names else {}
        key_ids = [visit.key("encryption").id for visit in visits if "encryption" in visit.keys]
        highest = await counters.highest(connection, key_ids)
        for visit in visits:
            visit.layouts = layouts.get(visit.meter.id, {})
            visit.marks = marks.get(visit.meter.id, {})
            visit.highest = highest
            if "encryption" in visit.keys:
                visit.learn_counter = (visit.key("encryption").id, title) not in highest

    async def _marks(self, connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, EventMark]]:
        found: dict[int, dict[str, EventMark]] = {}
        async with store_errors():
            cursor = await connection.execute(statement("event_marks"), {"meters": list(ids)})
            for row in await cursor.fetchall():
                mark = EventMark(*row)
                found.setdefault(mark.meter_id, {})[mark.log] = mark
        return found

    async def _bills(self, connection: Connection, ids: Sequence[int]) -> dict[int, datetime]:
        """The latest bill that is stored of these meters."""
        async with store_errors():
            cursor = await connection.execute(statement("bills_stored"), {"meters": list(ids)})
            return dict(await cursor.fetchall())


def _in_turn(ranges: Ranges, profile: Profile, now: datetime) -> Ranges:
    """Ranges in the order in which they are asked for: the newest day, which is waited for, before weeks that are owed,
    and of those the oldest, which are lost first. A buffer that is not read by time is read once for all of them."""
    if profile.selective_access != "range":
        return ((ranges[0][0], ranges[-1][1]),)
    border = (now - DAY).replace(minute=0, second=0, microsecond=0)
    if profile.kind != BLOCK_LOAD or ranges[0][0] >= border - DAY:
        return ranges
    newest = tuple((max(start, border), end) for start, end in ranges if end > border)
    return newest + tuple((start, min(end, border)) for start, end in ranges if start < border)
