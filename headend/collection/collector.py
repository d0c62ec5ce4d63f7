"""The collector: one segment's job, as many sessions at once.

The one rule: what a job did not bring home is still owed, and the next one asks again; so a session that fails, a stop
or a crash needs no bookkeeping.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from drivers.address import Address, parse_address
from drivers.credentials import Credentials
from drivers.dlms.security import Key
from drivers.reading import association_of, check_serial, read_invocation_counter
from drivers.session import Session, open_session
from headend.collection.clock import may_set, set_clock, setting_association
from headend.collection.locks import MeterLocks
from headend.collection.pace import Pace
from headend.collection.planning import Planner, Wanted
from headend.collection.tasks import OWED, Task
from headend.collection.visit import Visit
from headend.intake import Intake
from headend.settings import Clock, Collection, Schedules
from headend.store import counters
from headend.store.database import Pool, borrow, store_errors
from headend.store.finished import Contact, Finished
from headend.store.rows import Source
from headend.store.statements import statement
from headend.vault import KeyType
from profiles.errors import (
    AccessDenied,
    HeadEndError,
    IdentityMismatch,
    LinkError,
    LinkTimeout,
    SecurityError,
    SettingsError,
    StoreError,
    UnbelievableCounter,
)
from profiles.meter_type import Association, MeterType

SECRETS: Final[Mapping[int, KeyType]] = {1: "lls_secret", 2: "hls_secret"}
RETRY_WAIT_S: Final = 1.0
HELD_S: Final = 5.0
"""How long a job waits for the way to the store before it is given back."""
PAUSE_S: Final = 0.25
"""Between looks whether what is waited for has come."""
DOWN_AFTER: Final = 5
"""So many meters of a segment, or all of a smaller one, none of which can be reached: it is down."""
DOWN_SHARE: Final = 0.2
"""Or so large a share of it, if that is more."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Report:
    """How a job went. `failed` counts meters by kind of error; `busy` those that another worker had."""

    meters: int = 0
    answered: int = 0
    busy: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    again: int = 0
    """Meters that failed where trying again can help, or of which some was left for the next session."""
    down: bool = False
    held: bool = False
    """Some were not begun: what they would say had no way to the store."""
    seconds: float = 0.0

    def __add__(self, other: Report) -> Report:
        return Report(
            self.meters + other.meters,
            self.answered + other.answered,
            self.busy + other.busy,
            self.failed + other.failed,
            self.again + other.again,
            self.down or other.down,
            self.held or other.held,
            self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        text = f"{self.answered} of {self.meters} meters that were asked answered"
        if self.failed:
            text += "; failed: " + ", ".join(f"{kind} {count}" for kind, count in self.failed.most_common())
        if self.busy:
            text += f"; another worker had {self.busy}"
        if self.held:
            text += "; some were left for later: the store took nothing more"
        return text + ("; segments are down" if self.down else "")

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "meters": self.meters,
            "answered": self.answered,
            "failed": dict(self.failed),
            "busy": self.busy,
            "segments_down": self.down,
            "left_for_later": self.held,
            "seconds": round(self.seconds, 3),
        }


@dataclass(slots=True)
class _Segment:
    """A segment while its job runs."""

    size: int
    """All its meters, asked or not."""
    places: asyncio.Semaphore
    unreached: set[int] = field(default_factory=set)
    """Meters that could not be reached."""
    reached: bool = False
    reason: str = ""
    left_out: int = 0
    """Meters that were not begun."""

    @property
    def down(self) -> bool:
        enough = min(self.size, max(DOWN_AFTER, DOWN_SHARE * self.size))
        return not self.reached and len(self.unreached) >= max(1, enough)

    def learn(self, meter_id: int, error: HeadEndError | None) -> None:
        """What a try says of the segment; one that failed before a meter was spoken to says nothing."""
        if isinstance(error, LinkError):
            self.unreached.add(meter_id)
            self.reason = error.message
        elif not isinstance(error, SettingsError):
            self.reached = True


class Collector:
    """Collects segments and single meters, one job beside another."""

    def __init__(
        self,
        settings: Collection,
        pool: Pool,
        planner: Planner,
        intake: Intake,
        locks: MeterLocks,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._planner = planner
        self._intake = intake
        self._locks = locks
        self._clock = clock
        self.pace = Pace(settings.max_open_sessions, settings.new_sessions_per_s)
        self.on_finished: Callable[[Finished], None] = lambda finished: None
        """Called for each meter as it is done."""
        self.outcomes: Counter[str] = Counter()
        """Meters that were visited: `answered`, or the kind of error."""
        self.clocks = Clock()
        """When meters' clocks are set."""
        self._stopping = False
        self._paused = False

    def heed(self, settings: Collection, schedules: Schedules) -> None:
        """These hold from now on; sessions that are open go on as they began."""
        self._settings = settings
        self._planner.heed(settings, schedules)
        self.pace.limit(settings.max_open_sessions, settings.new_sessions_per_s)

    async def note_asked(self, asked_at: datetime, report: Report) -> None:
        """Note how long somebody waited for a report; a database that is away is passed over."""
        done = {"done_at": self._clock(), "meters": report.meters, "answered": report.answered}
        try:
            async with borrow(self._pool) as connection:
                await connection.execute(statement("on_demand_keep"), {"asked_at": asked_at, **done})
        except StoreError as error:
            log.warning("wait_not_noted", reason=str(error))

    def stop(self) -> None:
        """Begin no further session; those that are open go on."""
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """Whether no session is begun any more."""
        return self._stopping

    async def collect(self, segment_id: int, wanted: Wanted) -> Report:
        """Ask the meters of a segment, once, and see what came stored. Raises StoreError."""
        free = await self._may_begin(HELD_S)
        now = self._clock()
        async with borrow(self._pool) as connection:
            cursor = await connection.execute(statement("segment_of"), {"segment": segment_id, "now": now})
            row = await cursor.fetchone()
        if row is None:
            return Report()
        name, down_since, try_again_at, size = row
        if not free:
            await self.due_again(segment_id, wanted.tasks, now)
            return Report(held=True)
        if try_again_at is not None and try_again_at > now:
            await self.due_again(segment_id, wanted.tasks, try_again_at)
            return Report(down=True)
        visits, title = await self._plan(wanted, segment=segment_id)
        segment = _Segment(size, asyncio.Semaphore(self._settings.max_segment_sessions))
        if down_since is not None and visits:
            # One meter alone tells whether the segment is back, another each time: it may be dead itself.
            random.shuffle(visits)
            visits.sort(key=lambda visit: visit.fault is not None)
            report = await self._visit_all(visits[:1], segment, title)
            if not segment.reached and segment.reason:
                await self._intake.settled()
                await self._down(segment_id, name, wanted, segment.reason)
                report.down = True
                return report
            visits = visits[1:]
        else:
            report = Report()
        report += await self._visit_all(visits, segment, title)
        await self._settle(segment_id, name, wanted, segment, report)
        return report

    async def collect_meters(self, meters: Sequence[int], wanted: Wanted) -> Report:
        """Ask these meters, whatever their segments, once, and see what came stored. Raises StoreError."""
        await self._may_begin(self._settings.session_timeout_s)
        visits, title = await self._plan(wanted, meters=meters)
        segment = _Segment(len(visits), asyncio.Semaphore(self._settings.max_segment_sessions), reached=True)
        report = await self._visit_all(visits, segment, title)
        await self._intake.settled()
        return report

    async def due_again(self, segment_id: int, tasks: Set[Task], at: datetime) -> None:
        """The segment is due for these at this moment, if not before. Raises StoreError."""
        again = {"segment": segment_id, "at": at, "tasks": sorted(tasks)}
        async with borrow(self._pool) as connection:
            await connection.execute(statement("segment_again"), again)

    async def _may_begin(self, wait_s: float = 0.0) -> bool:
        """Whether what a session brings has a way to the store, within so long, and no stop is asked for."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while (held_up := self._held_up()) and not self._stopping and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_S)
        return not (held_up or self._stopping)

    def _held_up(self) -> str:
        """Why what a session brings has no way to the store; nothing if it has."""
        reason = ""
        if self._intake.full:
            reason = "the spool is full"
        elif self._intake.behind:
            reason = "what waits in the spool is to be stored first"
        elif self._intake.away and self._intake.held:
            reason = "the database is away"
        if bool(reason) is not self._paused:
            self._paused = bool(reason)
            if reason:
                log.warning("collection_paused", reason=reason)
            else:
                log.info("collection_resumed")
        return reason

    async def _plan(
        self, wanted: Wanted, *, segment: int | None = None, meters: Sequence[int] = ()
    ) -> tuple[list[Visit], bytes]:
        async with borrow(self._pool) as connection:
            title = await counters.client_title(connection)
            now = self._clock()
            found = await self._planner.meters(connection, now, segment=segment, meters=meters)
            visits = await self._planner.plan(connection, found, wanted, title, now)
            await self._planner.reserve(
                connection, [one for one in visits if not (one.learn_counter or one.fault)], title
            )
        return visits, title

    async def _settle(self, segment_id: int, name: str, wanted: Wanted, segment: _Segment, report: Report) -> None:
        await self._intake.settled()
        if segment.down:
            await self._down(segment_id, name, wanted, segment.reason)
            report.down = True
            return
        if segment.reached:
            async with borrow(self._pool) as connection:
                cursor = await connection.execute(statement("segment_up"), {"segment": segment_id})
                if await cursor.fetchone() is not None:
                    log.info("segment_up", segment=name)
        if segment.left_out:
            report.held = True
            await self.due_again(segment_id, wanted.tasks, self._clock())
        elif report.again:
            # Who owes a load or missed something else is known by meter, and nobody else is asked; where no load was
            # wanted, it is for days, which hardly anybody owes.
            at = self._clock() + timedelta(seconds=self._settings.retry_after_s)
            await self.due_again(segment_id, wanted.tasks & OWED or {"daily_load"}, at)

    async def _down(self, segment_id: int, name: str, wanted: Wanted, reason: str) -> None:
        parameters = {"segment": segment_id, "at": self._clock(), "reason": reason, "tasks": sorted(wanted.tasks)}
        async with borrow(self._pool) as connection:
            cursor = await connection.execute(statement("segment_down"), parameters)
            row = await cursor.fetchone()
        log.warning("segment_down", segment=name, reason=reason, again_at=None if row is None else row[0].isoformat())

    # -- one meter --------------------------------------------------------------------------------------------

    async def _visit_all(self, visits: Sequence[Visit], segment: _Segment, title: bytes) -> Report:
        loop = asyncio.get_running_loop()
        begun, report = loop.time(), Report()
        async with store_errors(), asyncio.TaskGroup() as sessions:
            for visit in visits:
                sessions.create_task(self._visit(visit, segment, title, report))
        report.seconds = loop.time() - begun
        return report

    async def _visit(self, visit: Visit, segment: _Segment, title: bytes, report: Report) -> None:
        """Try the meter until it answered or trying can't help; hand over what was read either way.

        Its place among the open sessions is free again only then: a slow database makes sessions wait.
        """
        error: HeadEndError | None = None
        for attempt in itertools.count(1):
            async with segment.places, self.pace.place(urgent=visit.source is Source.ON_DEMAND):
                if not await self._may_begin() or segment.down:
                    if error is None:
                        segment.left_out += 1
                        return
                    over = True
                else:
                    try:
                        async with self._hold(visit) as mine:
                            if not mine:
                                report.busy += 1
                                return
                            error = await self._try(visit, title)
                        segment.learn(visit.meter.id, error)
                        last = attempt >= self._settings.attempts
                        over = error is None or not self._again(visit, error, last=last)
                    except StoreError as lost:
                        # Without a database none is begun, and what was begun ends; no fault of the meter's.
                        error, over = lost, True
                        segment.left_out += 1
                if over:
                    await self._hand_over(visit, error, report)
                    return
            await asyncio.sleep(RETRY_WAIT_S * random.uniform(0.5, 1.5) * 2**attempt)  # noqa: S311 - jitter

    @contextlib.asynccontextmanager
    async def _hold(self, visit: Visit) -> AsyncIterator[bool]:
        """The meter for ourselves; who is waited for waits until another worker is done with it, within limits."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (self._settings.session_timeout_s if visit.source is Source.ON_DEMAND else 0)
        while True:
            async with self._locks.hold(visit.meter.id) as mine:
                if mine or loop.time() >= until:
                    yield mine
                    return
            await asyncio.sleep(PAUSE_S)

    async def _hand_over(self, visit: Visit, error: HeadEndError | None, report: Report) -> None:
        error = error or visit.problem
        self.outcomes["answered" if error is None else type(error).__name__] += 1
        report.meters += 1
        report.again += visit.unfinished and error is None
        if error is None:
            report.answered += 1
        else:
            error.at(meter=visit.meter.name)
            report.failed[type(error).__name__] += 1
            report.again += error.retry
            log.warning("meter_failed", meter=visit.meter.name, error=type(error).__name__, reason=str(error))
        contact = Contact(visit.meter.id, self._clock(), None if error is None else str(error))
        park = isinstance(error, IdentityMismatch | UnbelievableCounter)
        finished = visit.finished(contact, park=park, refused=_refused(visit, error))
        await self._intake.put(finished)
        self.on_finished(finished)

    def _again(self, visit: Visit, error: HeadEndError, *, last: bool) -> bool:
        """Whether to try once more; with a counter that may be out of step, learnt anew, also after the last try.

        A meter that another head-end has talked to refuses ours, or hangs up without a word.
        """
        if isinstance(error, AccessDenied | SecurityError | LinkError) and "encryption" in visit.keys:
            in_step, visit.learn_counter = not visit.learn_counter, True
            if in_step:
                return True
        return error.retry and not last

    async def _try(self, visit: Visit, title: bytes) -> HeadEndError | None:
        """One session; the error it ended with, if any."""
        await self.pace.turn()
        visit.heard_counter = False
        try:
            async with asyncio.timeout(self._settings.session_timeout_s):
                await self._session(visit, title)
        except TimeoutError:
            error: HeadEndError = LinkTimeout(f"not done after {self._settings.session_timeout_s:g} s", asked="session")
        except HeadEndError as known:
            error = known
        except Exception:
            log.exception("session_broke", meter=visit.meter.name)
            error = HeadEndError("an error of ours", asked="session", remedy="the log has the details: report them")
        else:
            return None
        error.meter = visit.meter.name
        return error

    async def _session(self, visit: Visit, title: bytes) -> None:
        if visit.fault is not None:
            raise visit.fault
        assert visit.meter_type is not None, "else it has a fault"
        loop = asyncio.get_running_loop()
        half_time = loop.time() + self._settings.session_timeout_s / 2

        def enough() -> bool:
            return loop.time() > half_time

        kind = association_of(visit.meter_type, parse_address(visit.meter.address))
        async with self._opened(visit, kind, title) as session:
            await visit.read(session, self._clock, enough=enough)
        if may_set(visit.clock_check, self.clocks):
            await self._set_clock(visit, title)

    async def _set_clock(self, visit: Visit, title: bytes) -> None:
        """What keeps a clock from being set is no reason to call the visit a failure. Raises StoreError."""
        assert visit.meter_type is not None
        kind = setting_association(visit.meter_type)
        if kind is None:
            return
        await asyncio.sleep(visit.meter_type.session_habit.pause_s)
        try:
            async with self._opened(visit, kind, title) as session:
                meter = visit.meter
                args = (session, visit.meter_type, meter.name, meter.interval_s, self.clocks, self._clock)
                to = await set_clock(*args)
            if to is not None:
                visit.clock_was_set(to)
        except StoreError:
            raise
        except HeadEndError as error:
            log.warning("clock_not_set", meter=visit.meter.name, reason=str(error.at(meter=visit.meter.name)))

    @contextlib.asynccontextmanager
    async def _opened(self, visit: Visit, kind: Association, title: bytes) -> AsyncIterator[Session]:
        """An association with the meter that the registry has, not with another one."""
        assert visit.meter_type is not None
        address = replace(parse_address(visit.meter.address), client=kind.client_sap)
        credentials = await self._credentials(visit, visit.meter_type, kind, address, title)

        async def refill() -> None:
            await self._reserve(visit, title)

        def last_received(heard_title: bytes) -> int:
            if not kind.needs_keys:
                return -1
            heard = (visit.key("encryption").id, heard_title)
            return max(visit.highest.get(heard, -1), visit.received.get(heard, -1))

        async with open_session(
            address,
            visit.meter_type,
            kind,
            credentials,
            server_title=visit.meter.system_title or b"",
            last_received=last_received,
            refill=refill if kind.needs_keys else None,
        ) as session:
            visit.let_in = True
            try:
                if not (kind.ciphered and visit.meter.system_title):
                    await check_serial(session, visit.meter_type, visit.meter.serial)
                yield session
            finally:
                # Settled even if the rest fails: what was heard once is a replay from now on.
                heard = session.association
                if kind.ciphered:
                    visit.received[visit.key("encryption").id, heard.server_title] = heard.last_received

    async def _reserve(self, visit: Visit, title: bytes) -> None:
        async with borrow(self._pool) as connection:
            await self._planner.reserve(connection, [visit], title)
        if visit.counters.left <= 0:
            remedy = "change the encryption key, which starts it anew"
            raise SecurityError("the invocation counter has reached its end", remedy=remedy)

    async def _credentials(
        self, visit: Visit, meter_type: MeterType, kind: Association, address: Address, title: bytes
    ) -> Credentials:
        secret = visit.key(SECRETS[kind.mechanism]).material if kind.mechanism in SECRETS else None
        if not kind.needs_keys:
            return Credentials(secret=secret)
        encryption, authentication = visit.key("encryption"), visit.key("authentication").material
        assert isinstance(encryption.material, Key)
        assert isinstance(authentication, Key)
        if visit.learn_counter and kind.invocation_counter is not None:
            seen = await read_invocation_counter(address, meter_type, kind.invocation_counter)
            visit.heard_counter = True
            async with borrow(self._pool) as connection:
                await counters.learn(connection, encryption.id, title, seen, max_step=self._settings.counter_step)
                await self._planner.reserve(connection, [visit], title)
        return Credentials(title, encryption.material, authentication, secret, visit.counters)


def _refused(visit: Visit, error: HeadEndError | None) -> bool:
    """Whether the meter let us not in for our keys, though the counter was learnt anew: or it is another one.

    It may say so, or fall silent: as our proof is due, or over the keys just after it answered in clear.
    """
    if visit.let_in or visit.fault is not None:
        return False
    if isinstance(error, LinkError):
        return error.asked.startswith("associate, HLS") or (error.asked == "associate" and visit.heard_counter)
    if not isinstance(error, AccessDenied | SecurityError) or error.retry:
        return False
    return visit.learn_counter or "encryption" not in visit.keys
