"""Collection: one cycle asks every meter for what it owes, and nothing else.

The one rule: what a cycle did not bring home is still owed, and the next one asks again; so a session that fails, a
stop or a crash needs no bookkeeping. Meters are planned in segments: one query for what they owe, one for their keys,
one update that spends their invocation counters before the first frame goes out.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from drivers.address import Address, parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms.security import Key
from drivers.reading import Layout, association_of, check_serial, read_invocation_counter, read_layout, read_profile
from drivers.session import Session, open_session
from headend.batches import Batches, Finished
from headend.registry import Meter, load_meters
from headend.settings import Collection
from headend.store import counters
from headend.store.database import Connection, Pool, borrow
from headend.store.finished import Contact
from headend.store.layouts import load_layouts
from headend.store.ledger import owed
from headend.store.rows import UNIX_EPOCH, MeterIntervals, Source
from headend.store.writer import EARLIEST_US, PROFILE, Writer, Written
from headend.vault import KeyType, StoredKey, Vault
from profiles.errors import (
    AccessDenied,
    HeadEndError,
    IdentityMismatch,
    LinkError,
    LinkTimeout,
    SecurityError,
    SettingsError,
    UnbelievableCounter,
)
from profiles.intervals import Quality, intervals
from profiles.meter_type import Association, MeterType

AUTHENTICATED: Final = 0x10
SECRETS: Final[Mapping[int, KeyType]] = {1: "lls_secret", 2: "hls_secret"}
RETRY_WAIT_S: Final = 1.0
ANSWERED: Final = "answered"
EARLIEST: Final = UNIX_EPOCH + timedelta(microseconds=EARLIEST_US)
"""What began before is not stored, whenever its meter is said to have been commissioned."""

Ranges = tuple[tuple[datetime, datetime], ...]
"""Spans [from, to) of interval starts, in UTC."""
BACKFILL_AFTER: Final = timedelta(days=1)
"""A range that ended so long ago was missed by the cycles before, and counts as backfill."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """How a cycle went. `failed` counts meters by kind of error."""

    meters: int
    answered: int
    failed: Counter[str]
    written: Written
    seconds: float


@dataclass(slots=True)
class _Job:
    """One meter in this cycle, and what has been read of it so far."""

    meter: Meter
    ranges: Ranges
    layout: Layout | None
    keys: Mapping[KeyType, StoredKey]
    fault: HeadEndError | None
    """Why it can't be asked at all."""
    highest: Mapping[tuple[int, bytes], int]
    """Counters settled under the meter's encryption key, by (key id, system title): ours and the meter's."""
    counters: CounterRange = field(default_factory=lambda: CounterRange(0, 0))
    learn_counter: bool = False
    readings: list[MeterIntervals] = field(default_factory=list)
    new_layout: Layout | None = None
    received: dict[tuple[int, bytes], int] = field(default_factory=dict)

    def key(self, kind: KeyType) -> StoredKey:
        """A key of this meter; SettingsError if it was never imported."""
        if kind not in self.keys:
            what = kind if kind.endswith("secret") else f"{kind} key"
            remedy = "import it with `headend meters import FILE`"
            raise SettingsError(f"no {what} is stored", asked="keys", remedy=remedy)
        return self.keys[kind]


class Collector:
    """Reads the block load of all registered meters; one cycle at a time."""

    def __init__(
        self,
        settings: Collection,
        pool: Pool,
        writer: Writer,
        vault: Vault,
        meter_types: Mapping[str, MeterType],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._writer = writer
        self._vault = vault
        self._types = meter_types
        self._clock = clock
        self.on_finished: Callable[[Finished], None] = lambda finished: None
        """Called for each meter as it is done."""
        self._sessions = asyncio.Semaphore(settings.max_open_sessions)
        self._next_start = 0.0
        self._stopping = False
        self._title = b""

    def stop(self) -> None:
        """Begin no further session; those that are open go on."""
        self._stopping = True

    async def cycle(self) -> Report:
        """Ask every meter that owes, once. Raises StoreError when the database is away for too long."""
        loop = asyncio.get_running_loop()
        begun, ends = loop.time(), Counter[str]()
        batches = Batches(self._pool, self._writer, PROFILE)
        async with batches.open():
            after = 0
            while not self._stopping:
                async with borrow(self._pool) as connection:
                    self._title = await counters.client_title(connection)
                    meters = await load_meters(connection, after=after, limit=self._settings.segment)
                    jobs = await self._plan(connection, [meter for meter in meters if meter.parked_reason is None])
                    await self._reserve(connection, [job for job in jobs if not (job.learn_counter or job.fault)])
                if not meters:
                    break
                after = meters[-1].id
                async with asyncio.TaskGroup() as sessions:
                    for job in jobs:
                        sessions.create_task(self._collect(job, batches, ends))
        meters_asked, answered = ends.total(), ends.pop(ANSWERED, 0)
        return Report(meters_asked, answered, ends, batches.written, loop.time() - begun)

    # -- planning ---------------------------------------------------------------------------------------------

    async def _plan(self, connection: Connection, meters: Sequence[Meter]) -> list[_Job]:
        """The meters of a segment that owe something, or can't be asked, with what a session needs."""
        ids = [meter.id for meter in meters]
        ranges, faults = await self._owed(connection, meters)
        keys = await self._keys(connection, ids, faults)
        layouts = await load_layouts(connection, ids, PROFILE)
        key_ids = [of_meter["encryption"].id for of_meter in keys.values() if "encryption" in of_meter]
        highest = await counters.highest(connection, key_ids)
        jobs = []
        for meter in meters:
            if meter.id not in ranges:
                continue
            of_meter, fault = keys.get(meter.id, {}), faults.get(meter.id)
            job = _Job(meter, ranges[meter.id], layouts.get(meter.id), of_meter, fault, highest)
            job.learn_counter = "encryption" in job.keys and (job.key("encryption").id, self._title) not in highest
            jobs.append(job)
        return jobs

    async def _owed(
        self, connection: Connection, meters: Sequence[Meter]
    ) -> tuple[dict[int, Ranges], dict[int, HeadEndError]]:
        """What each meter owes, and why some can't be asked."""
        now = self._clock()
        ranges: dict[int, Ranges] = {}
        faults: dict[int, HeadEndError] = {}
        for name in sorted({meter.meter_type for meter in meters}):
            of_type = [meter.id for meter in meters if meter.meter_type == name]
            if name in self._types and PROFILE in self._types[name].profiles:
                for item in await owed(connection, of_type, self._types[name].profiles[PROFILE], now):
                    ranges[item.meter_id] = item.ranges
                continue
            what = f"has no profile {PROFILE}" if name in self._types else "is not known"
            for meter_id in of_type:
                remedy = "see its file, and the setting meter_types"
                faults[meter_id] = SettingsError(f"meter type {name} {what}", asked="meter type", remedy=remedy)
                ranges[meter_id] = ()
        return ranges, faults

    async def _keys(
        self, connection: Connection, ids: Sequence[int], faults: dict[int, HeadEndError]
    ) -> dict[int, dict[KeyType, StoredKey]]:
        """The keys of these meters; one whose record was altered is a fault of its meter alone."""
        try:
            return await self._vault.get(connection, ids)
        except SecurityError:
            keys: dict[int, dict[KeyType, StoredKey]] = {}
            for meter_id in ids:
                try:
                    keys |= await self._vault.get(connection, [meter_id])
                except SecurityError as error:
                    faults.setdefault(meter_id, error.at(asked="keys"))
            return keys

    async def _reserve(self, connection: Connection, jobs: Sequence[_Job]) -> None:
        """Spend a run of counters for each of these meters that has a key, in one statement."""
        by_key = {job.key("encryption").id: job for job in jobs if "encryption" in job.keys}
        if by_key:
            runs = await counters.reserve(connection, list(by_key), self._title, self._settings.counter_reserve)
            for key_id, run in runs.items():
                mine = by_key[key_id].counters
                mine.next, mine.end = run.next, run.end

    # -- one meter --------------------------------------------------------------------------------------------

    async def _collect(self, job: _Job, batches: Batches, ends: Counter[str]) -> None:
        """Try the meter until it answered or trying can't help; hand over what was read either way.

        Its place among the open sessions is free again only then: a slow database makes sessions wait.
        """
        error: HeadEndError | None = None
        for attempt in range(1, self._settings.attempts + 1):
            async with self._sessions:
                if not self._stopping:
                    error = await self._try(job)
                elif error is None:
                    return
                over = self._stopping or attempt == self._settings.attempts
                if error is None or over or not self._again(job, error):
                    await self._hand_over(job, error, batches)
                    ends[ANSWERED if error is None else type(error).__name__] += 1
                    return
            await asyncio.sleep(RETRY_WAIT_S * random.uniform(0.5, 1.5) * 2**attempt)  # noqa: S311 - jitter

    async def _hand_over(self, job: _Job, error: HeadEndError | None, batches: Batches) -> None:
        reason = None if error is None else str(error)
        if error is not None:
            log.warning("meter_failed", meter=job.meter.name, error=type(error).__name__, reason=reason)
        finished = Finished(
            Contact(job.meter.id, self._clock(), reason),
            tuple(job.readings),
            job.new_layout,
            job.received,
            park=isinstance(error, IdentityMismatch | UnbelievableCounter),
        )
        await batches.put(finished)
        self.on_finished(finished)

    def _again(self, job: _Job, error: HeadEndError) -> bool:
        """Whether to try once more; a counter that may be out of step is learnt anew first.

        A meter that another head-end has talked to refuses ours, or hangs up without a word.
        """
        if isinstance(error, AccessDenied | SecurityError | LinkError) and "encryption" in job.keys:
            in_step, job.learn_counter = not job.learn_counter, True
            return in_step or error.retry
        return error.retry

    async def _try(self, job: _Job) -> HeadEndError | None:
        """One session; the error it ended with, if any."""
        await self._take_turn()
        try:
            async with asyncio.timeout(self._settings.session_timeout_s):
                await self._session(job)
        except TimeoutError:
            error: HeadEndError = LinkTimeout(f"not done after {self._settings.session_timeout_s:g} s", asked="session")
        except HeadEndError as known:
            error = known
        except Exception:
            log.exception("session_broke", meter=job.meter.name)
            error = HeadEndError("an error of ours", asked="session", remedy="the log has the details: report them")
        else:
            return None
        error.meter = job.meter.name
        return error

    async def _take_turn(self) -> None:
        """Keep new connections a second within their limit."""
        loop = asyncio.get_running_loop()
        turn = max(loop.time(), self._next_start)
        self._next_start = turn + 1 / self._settings.new_sessions_per_s
        await asyncio.sleep(turn - loop.time())

    async def _session(self, job: _Job) -> None:
        if job.fault is not None:
            raise job.fault
        meter_type = self._types[job.meter.meter_type]
        address = parse_address(job.meter.address)
        kind = association_of(meter_type, address)
        credentials = await self._credentials(job, meter_type, kind, address)

        async def refill() -> None:
            async with borrow(self._pool) as connection:
                await self._reserve(connection, [job])
            if job.counters.left <= 0:
                raise SecurityError(
                    "the invocation counter has reached its end",
                    remedy="change the encryption key, which starts it anew",
                )

        def last_received(title: bytes) -> int:
            if not kind.needs_keys:
                return -1
            heard = (job.key("encryption").id, title)
            return max(job.highest.get(heard, -1), job.received.get(heard, -1))

        async with open_session(
            address,
            meter_type,
            kind,
            credentials,
            server_title=job.meter.system_title or b"",
            last_received=last_received,
            refill=refill if kind.needs_keys else None,
        ) as session:
            try:
                if not (kind.ciphered and job.meter.system_title):
                    await check_serial(session, meter_type, job.meter.serial)
                await self._read(job, session, meter_type, kind)
            finally:
                # Settled even if the rest fails: what was heard once is a replay from now on.
                heard = session.association
                if kind.ciphered:
                    job.received[job.key("encryption").id, heard.server_title] = heard.last_received

    async def _credentials(self, job: _Job, meter_type: MeterType, kind: Association, address: Address) -> Credentials:
        secret = job.key(SECRETS[kind.mechanism]).material if kind.mechanism in SECRETS else None
        if not kind.needs_keys:
            return Credentials(secret=secret)
        encryption, authentication = job.key("encryption"), job.key("authentication").material
        assert isinstance(encryption.material, Key)
        assert isinstance(authentication, Key)
        if job.learn_counter and kind.invocation_counter is not None:
            seen = await read_invocation_counter(address, meter_type, kind.invocation_counter)
            async with borrow(self._pool) as connection:
                await counters.learn(connection, encryption.id, self._title, seen, max_step=self._settings.counter_step)
                await self._reserve(connection, [job])
        return Credentials(self._title, encryption.material, authentication, secret, job.counters)

    async def _read(self, job: _Job, session: Session, meter_type: MeterType, kind: Association) -> None:
        profile = meter_type.profiles[PROFILE]
        if job.layout is None:
            job.layout = job.new_layout = await read_layout(session, profile)
        while job.ranges:
            start, end = job.ranges[0]
            table = await read_profile(session, meter_type, profile, job.layout, start, end)
            if table.odd_rows and job.new_layout is None:
                job.layout = job.new_layout = await read_layout(session, profile)
                table = await read_profile(session, meter_type, profile, job.layout, start, end)
            now = self._clock()
            batch = intervals(
                table,
                job.layout.scalers,
                profile,
                meter_type,
                interval_s=job.layout.capture_period_s,
                now=now,
                earliest=max(job.meter.commissioned_at - timedelta(days=profile.depth_days), EARLIEST),
            )
            if not kind.security_control & AUTHENTICATED:
                batch = replace(batch, quality=batch.quality | Quality.NOT_AUTHENTICATED)
            source = Source.BACKFILL if now - end > BACKFILL_AFTER else Source.SCHEDULED
            job.readings.append(MeterIntervals(job.meter.id, batch, now, source))
            job.ranges = job.ranges[1:]
