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
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from headend.collection.locks import MeterLocks
from headend.collection.pace import Pace
from headend.collection.planning import Planner, Wanted
from headend.collection.report import Report
from headend.collection.segments import SegmentRun, Segments
from headend.collection.sessions import Sessions
from headend.collection.tasks import OWED
from headend.collection.visit import Visit
from headend.intake import Intake
from headend.settings import Clock, Collection, Schedules
from headend.store import counters
from headend.store.database import Pool, borrow, store_errors
from headend.store.finished import Contact, Finished
from headend.store.rows import Source
from headend.store.statements import statement
from profiles.errors import (
    AccessDenied,
    HeadEndError,
    IdentityMismatch,
    LinkError,
    LinkTimeout,
    SecurityError,
    StoreError,
    UnbelievableCounter,
)

RETRY_WAIT_S: Final = 1.0
HELD_S: Final = 5.0
"""How long a job waits for the way to the store before it is given back."""
PAUSE_S: Final = 0.25
"""Between looks whether what is waited for has come."""

log = structlog.get_logger(__name__)


class Collector:
    """Collects segments and single meters, one job beside another."""

    def __init__(
        self,
        settings: Collection,
        clocks: Clock,
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
        self.segments = Segments(pool, clock=clock)
        self._sessions = Sessions(settings, clocks, pool, planner, clock=clock)
        self._stopping = False
        self._paused = False

    def heed(self, settings: Collection, schedules: Schedules, clocks: Clock) -> None:
        """These hold from now on; sessions that are open go on as they began."""
        self._settings = settings
        self._planner.heed(settings, schedules)
        self._sessions.heed(settings, clocks)
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
        known = await self.segments.find(segment_id)
        if known is None:
            return Report()
        if not free:
            await self.segments.due_again(segment_id, wanted.tasks, now)
            return Report(held=True)
        if known.try_again_at is not None and known.try_again_at > now:
            await self.segments.due_again(segment_id, wanted.tasks, known.try_again_at)
            return Report(down=True)
        visits, title = await self._plan(wanted, segment=segment_id)
        segment = SegmentRun(known.meters, asyncio.Semaphore(self._settings.max_segment_sessions))
        if known.down_since is not None and visits:
            # One meter alone tells whether the segment is back, another each time: it may be dead itself.
            random.shuffle(visits)
            visits.sort(key=lambda visit: visit.fault is not None)
            report = await self._visit_all(visits[:1], segment, title)
            if not segment.reached and segment.reason:
                await self._intake.settled()
                await self.segments.down(segment_id, known.name, wanted.tasks, segment.reason)
                report.down = True
                return report
            visits = visits[1:]
        else:
            report = Report()
        report += await self._visit_all(visits, segment, title)
        await self._settle(segment_id, known.name, wanted, segment, report)
        return report

    async def collect_meters(self, meters: Sequence[int], wanted: Wanted) -> Report:
        """Ask these meters, whatever their segments, once, and see what came stored. Raises StoreError."""
        await self._may_begin(self._settings.session_timeout_s)
        visits, title = await self._plan(wanted, meters=meters)
        segment = SegmentRun(len(visits), asyncio.Semaphore(self._settings.max_segment_sessions), reached=True)
        report = await self._visit_all(visits, segment, title)
        await self._intake.settled()
        return report

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

    async def _settle(self, segment_id: int, name: str, wanted: Wanted, segment: SegmentRun, report: Report) -> None:
        await self._intake.settled()
        if segment.down:
            await self.segments.down(segment_id, name, wanted.tasks, segment.reason)
            report.down = True
            return
        if segment.reached:
            await self.segments.up(segment_id, name)
        if segment.left_out:
            report.held = True
            await self.segments.due_again(segment_id, wanted.tasks, self._clock())
        elif report.again:
            # Who owes a load or missed something else is known by meter, and nobody else is asked; where no load was
            # wanted, it is for days, which hardly anybody owes.
            at = self._clock() + timedelta(seconds=self._settings.retry_after_s)
            await self.segments.due_again(segment_id, wanted.tasks & OWED or {"daily_load"}, at)

    # -- one meter --------------------------------------------------------------------------------------------

    async def _visit_all(self, visits: Sequence[Visit], segment: SegmentRun, title: bytes) -> Report:
        loop = asyncio.get_running_loop()
        begun, report = loop.time(), Report()
        async with store_errors(), asyncio.TaskGroup() as sessions:
            for visit in visits:
                sessions.create_task(self._visit(visit, segment, title, report))
        report.seconds = loop.time() - begun
        return report

    async def _visit(self, visit: Visit, segment: SegmentRun, title: bytes, report: Report) -> None:
        """Try the meter until it answered or trying can't help; hand over what was read either way.

        Its place among the open sessions is free again only then: a slow database makes sessions wait.
        """
        error: HeadEndError | None = None
        for attempt in itertools.count(1):
            async with segment.places, self.pace.place(segment, urgent=visit.source is Source.ON_DEMAND):
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
                await self._sessions.visit(visit, title)
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
