"""The jobs, on procrastinate: one a segment and cycle, and one for what somebody asks for now.

The one rule: a job only says who is to be asked for what; what is owed is asked of the ledger when it runs. So a job
that runs twice, late, or on another node after its own was killed, does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import procrastinate
import structlog
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import DeleteJobCondition, Job, Status

from headend.collection.collector import Collector
from headend.collection.planning import Wanted
from headend.collection.report import Report
from headend.collection.tasks import TASKS, Task
from headend.store.database import RECONNECT_S
from headend.store.rows import Source
from profiles.errors import StoreError

COLLECT: Final = "collect"
ON_DEMAND: Final = "on_demand"
"""A queue with workers of its own: what somebody waits for overtakes every cycle."""
ALIVE_EVERY_S: Final = 2.0
STALE_S: Final = 10.0
"""A worker that has not said for so long that it lives is dead; its jobs are done by others."""
REAP_EVERY_S: Final = 5.0
_AGAIN: Final = procrastinate.RetryStrategy(max_attempts=5, wait=10, linear_wait=20, retry_exceptions={StoreError})
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
CONNECTIONS: Final = 4
GRACE_S: Final = 12.0
"""How long jobs may go on after a stop is asked for."""

log = structlog.get_logger(__name__)


class Jobs:
    """The job engine on one database; `collector` does the jobs of this process."""

    def __init__(self, dsn: str, collector: Collector | None = None) -> None:
        # Its pool gives up soon while the database is away, and so tries at once when it is asked again.
        connector = procrastinate.PsycopgConnector(
            conninfo=dsn, min_size=1, max_size=CONNECTIONS, reconnect_timeout=RECONNECT_S, timeout=2 * RECONNECT_S
        )
        self._app = procrastinate.App(connector=connector)
        self._collector = collector
        self.on_alive: Callable[[], None] = lambda: None
        """Called every few seconds while it works."""
        self._collect = self._app.task(name="collect_segment", queue=COLLECT)(self._collect_segment)
        self._ask = self._app.task(name="ask_meters", queue=ON_DEMAND, retry=_AGAIN)(self._ask_meters)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Jobs]:
        """Connect. Raises StoreError."""
        with job_errors():
            async with self._app.open_async():
                yield self

    async def defer_segment(self, segment: int, tasks: Sequence[Task]) -> bool:
        """Have a segment collected, after those that wait already: whoever owes weeks has its turn and no more. False:
        such a job waits already."""
        lock = f"segment {segment}"
        job = self._collect.configure(lock=lock, queueing_lock=lock)
        with job_errors():
            try:
                await job.defer_async(segment=segment, tasks=list(tasks))
            except AlreadyEnqueued:
                return False
        return True

    async def defer_meters(
        self, meters: Sequence[int], tasks: Sequence[Task], ranges: Sequence[tuple[datetime, datetime]] = ()
    ) -> int:
        """Have these meters asked now; the job's number. `ranges` of the block load, in place of what they owe."""
        spans = [[start.isoformat(), end.isoformat()] for start, end in ranges]
        with job_errors():
            asked_at = datetime.now(UTC).isoformat()
            return await self._ask.defer_async(meters=list(meters), tasks=list(tasks), ranges=spans, asked_at=asked_at)

    async def state(self, job: int) -> str | None:
        """`todo`, `doing`, `succeeded`, `failed` …; None once it is forgotten."""
        with job_errors():
            found = await self._app.job_manager.list_jobs_async(id=job)
        return next((str(one.status) for one in found), None)

    async def work(self, *, segments_at_once: int, reserved: int) -> None:
        """Do jobs until cancelled, which lets those that run end within a moment."""
        async with asyncio.TaskGroup() as workers:
            workers.create_task(self._worker(COLLECT, segments_at_once))
            workers.create_task(self._worker(ON_DEMAND, reserved))
            workers.create_task(self._reap())

    async def _worker(self, queue: str, concurrency: int) -> None:
        with job_errors():
            await self._app.run_worker_async(
                queues=[queue],
                name=queue,
                concurrency=concurrency,
                delete_jobs=DeleteJobCondition.ALWAYS,
                shutdown_graceful_timeout=GRACE_S,
                install_signal_handlers=False,
                update_heartbeat_interval=ALIVE_EVERY_S,
                stalled_worker_timeout=STALE_S,
            )

    async def _reap(self) -> None:
        """Give the jobs of dead workers to the living: nothing else does."""
        while True:
            self.on_alive()
            await asyncio.sleep(REAP_EVERY_S)
            with job_errors():
                for job in await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALE_S):
                    log.warning("job_taken_over", job=job.id, task=job.task_name, arguments=job.task_kwargs)
                    await self._take_over(job)

    async def _take_over(self, job: Job) -> None:
        try:
            await self._app.job_manager.retry_job(job)
        except UniqueViolation:
            # Another job waits for the same segment, perhaps with other tasks: it stays due for these.
            segment, tasks = job.task_kwargs["segment"], job.task_kwargs["tasks"]
            assert job.id is not None
            assert isinstance(segment, int)
            assert isinstance(tasks, list)
            await self._leave_due(segment, Wanted(_tasks([str(task) for task in tasks])))
            await self._app.job_manager.finish_job_by_id_async(job.id, Status.FAILED, delete_job=True)

    async def _leave_due(self, segment: int, wanted: Wanted) -> None:
        """See that a segment whose job broke is due for its tasks still; waits for a database that is away."""
        assert self._collector is not None, "who does no jobs has no worker"
        while True:
            try:
                return await self._collector.segments.due_again(segment, wanted.tasks, _LONG_AGO)
            except StoreError as error:
                log.error("job_not_left_due", segment=segment, reason=str(error))
            await asyncio.sleep(ALIVE_EVERY_S)

    # -- what a job does --------------------------------------------------------------------------------------

    async def _collect_segment(self, segment: int, tasks: list[str]) -> None:
        await self._do(segment=segment, wanted=Wanted(_tasks(tasks), patient=True))

    async def _ask_meters(
        self, meters: list[int], tasks: list[str], ranges: list[list[str]], asked_at: str | None = None
    ) -> None:
        spans = tuple((datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in ranges)
        report = await self._do(meters=meters, wanted=Wanted(_tasks(tasks), source=Source.ON_DEMAND, ranges=spans))
        if asked_at is not None and self._collector is not None:
            await self._collector.note_asked(datetime.fromisoformat(asked_at), report)

    async def _do(self, *, wanted: Wanted, segment: int | None = None, meters: Sequence[int] = ()) -> Report:
        assert self._collector is not None, "who does no jobs has no worker"
        try:
            if segment is not None:
                report = await self._collector.collect(segment, wanted)
            else:
                report = await self._collector.collect_meters(meters, wanted)
        except StoreError as error:
            log.error("job_broke", segment=segment, reason=str(error))
            if segment is None:
                raise
            # Its lock lets no second one wait, so that it can't be tried again as it is: the dispatcher makes another.
            await self._leave_due(segment, wanted)
            return Report()
        log.info(
            "job_finished",
            segment=segment,
            tasks=sorted(wanted.tasks),
            meters=report.meters,
            answered=report.answered,
            busy=report.busy,
            failed=dict(report.failed),
            down=report.down,
            held=report.held,
            seconds=round(report.seconds, 3),
        )
        return report


@contextlib.contextmanager
def job_errors() -> Iterator[None]:
    """Turn the engine's errors inside the block into StoreError."""
    try:
        yield
    except ConnectorException as error:
        cause = error.__cause__ or error
        raise StoreError(
            f"the job engine: {str(cause).splitlines()[0] if str(cause) else type(cause).__name__}"
        ) from error


def _tasks(names: Sequence[str]) -> frozenset[Task]:
    """Those that this program knows; a job that a newer one made may have others."""
    return frozenset(task for task in TASKS if task in names)
