"""The line of arrivals: pushes are taken in batches, looked up, opened, and handed to the intake.

Readings go first. Alarms wait in a line of their own and fill what the intake has room for, so that a storm of them
delays no reading; a few always pass. While the database is away, or something of that time is not opened yet, arrivals
go to the spool as they came.

The one rule: every arrival ends in one way: handed to the intake, spooled, in quarantine, or refused, counted and told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from drivers.push import Arrival, open_push
from drivers.push import Push as Opened
from drivers.push.reception import Limits
from headend.intake import Intake
from headend.push.allowance import Allowance
from headend.push.contents import Content, content_of
from headend.push.discovered import Quarantine
from headend.push.meters import KnownMeter, KnownMeters
from headend.push.raw import RawPushes
from headend.push.senders import Claim, claim_of
from headend.push.telling import Refusals
from profiles.errors import HeadEndError, ProtocolError, SecurityError, StoreError

BATCH: Final = 500
GATHER_S: Final = 0.05
"""How long an arrival waits for others to be looked up with."""
AT_A_TURN: Final = 50
"""So many are opened before all others of this process have their turn, the writers among them: about 10 ms."""
STALE_S: Final = 10.0
"""Keys that were looked up so long ago are looked up anew when they do not open a push."""
ALARMS_AT_ONCE: Final = 200
BUSY_ROWS: Final = 5_000
"""With so many rows in the intake it is the readings' turn, and alarms pass only `ALARMS_AT_ONCE` every `TURN_S`."""
TURN_S: Final = 0.1
CONFIRMING: Final = 5_000
"""Pushes that wait to be confirmed at one time."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Waiting:
    """An arrival in the line. `durable`: `done` is to come only when it is safe, whatever the push says."""

    arrival: Arrival
    at: datetime
    done: asyncio.Future[bytes | None]
    durable: bool
    handled: bool = False
    """Handed on or refused, whether or not anybody still waits to hear of it."""

    def finish(self, confirmation: bytes | None = None) -> None:
        self.handled = True
        if not self.done.done():
            self.done.set_result(confirmation)

    def fail(self, error: HeadEndError) -> None:
        self.handled = True
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True, eq=False)
class _Ready:
    """One that was opened."""

    waiting: _Waiting
    meter: KnownMeter
    push: Opened
    content: Content

    @property
    def awaited(self) -> bool:
        return self.waiting.durable or self.push.awaits_confirmation


class Arrivals:
    """What sockets and broker hand arrivals to.

    `kept`, `refused` and `spooled` count them, `alarms` those of the kept, `unknown` those of the refused that nobody
    is registered for, `failed` what our side did not keep.
    """

    def __init__(
        self,
        limits: Limits,
        meters: KnownMeters,
        quarantine: Quarantine,
        intake: Intake,
        raw: RawPushes,
        *,
        max_waiting: int,
        max_alarms: int,
        max_per_s: float,
        clock: Callable[[], datetime],
    ) -> None:
        self.limits = limits
        self.kept = self.refused = self.failed = self.unknown = self.alarms = self.spooled = 0
        self.meters = meters
        self.quarantine = quarantine
        self._intake = intake
        self._raw = raw
        self._clock = clock
        self._now = asyncio.get_running_loop().time
        self._line: asyncio.Queue[_Waiting] = asyncio.Queue(max_waiting)
        self._alarms: asyncio.Queue[_Ready] = asyncio.Queue(max_alarms)
        self._pace = Allowance(max_per_s, max_per_s, self._now())
        self._refusals = Refusals(self._now)
        self._confirming: set[asyncio.Task[None]] = set()
        self._awaited = 0

    @property
    def waiting(self) -> int:
        """Arrivals in the line."""
        return self._line.qsize()

    @property
    def alarms_waiting(self) -> int:
        """Alarms behind the readings."""
        return self._alarms.qsize()

    @property
    def held_up(self) -> bool:
        """The database is away, and the spool has no room for what waits."""
        return self._raw.full

    def heed(self, limits: Limits, max_per_s: float) -> None:
        """These hold from now on, `limits` for whoever connects from now on."""
        self.limits = limits
        self._pace = Allowance(max_per_s, max_per_s, self._now())

    async def handle(self, arrival: Arrival) -> bytes | None:
        """Keep a push, by the time this returns perhaps only in memory; what confirms it, or None: then it is durable.

        SecurityError and ProtocolError where it is refused. Waits while there is no room.
        """
        return await self.take(arrival, durable=False)

    async def take(self, arrival: Arrival, *, durable: bool) -> bytes | None:
        """As `handle`; with `durable` it always is."""
        waiting = _Waiting(arrival, self._clock(), asyncio.get_running_loop().create_future(), durable)
        await self._line.put(waiting)
        return await waiting.done

    def refuse(self, error: HeadEndError, peer: str) -> None:
        """Count and tell what was refused."""
        self.refused += 1
        self._refusals.tell(error, peer)

    async def run(self) -> None:
        """Take batch after batch, until cancelled."""
        while True:
            batch = await self._gather()
            try:
                await self._work(batch)
            except HeadEndError as error:
                self.failed += len(batch)
                log.error("pushes_not_kept", count=len(batch), reason=str(error))
                for waiting in batch:
                    waiting.fail(error)

    async def run_alarms(self) -> None:
        """Hand alarms to the intake as it has room, until cancelled."""
        while True:
            some = [await self._alarms.get()]
            while len(some) < ALARMS_AT_ONCE and not self._alarms.empty():
                some.append(self._alarms.get_nowait())
            await self._put(some)
            for _ in some:
                self._alarms.task_done()
            if self._intake.held > BUSY_ROWS:
                await asyncio.sleep(TURN_S)

    async def run_raw(self) -> None:
        """Open what waits in the spool, until cancelled."""
        await self._raw.replay(self._open_raw)

    async def drained(self) -> None:
        """Return when all that is in the line now is handed on."""
        await self._line.join()
        await self._alarms.join()
        while self._confirming:
            await asyncio.wait(self._confirming)

    # -- a batch -----------------------------------------------------------------------------------------------

    async def _gather(self) -> list[_Waiting]:
        batch = [await self._line.get()]
        if self._line.qsize() < BATCH:
            await asyncio.sleep(GATHER_S)
        while len(batch) < BATCH and not self._line.empty():
            batch.append(self._line.get_nowait())
        too_fast_s = self._pace.spend(len(batch), self._now())
        if too_fast_s:
            await asyncio.sleep(too_fast_s)
        return batch

    async def _work(self, batch: Sequence[_Waiting]) -> None:
        try:
            if self._intake.away or self._raw.behind:
                await self._spool(batch)
                return
            try:
                ready = await self._open(batch)
            except StoreError as error:
                if not error.retry:
                    raise
                log.warning("pushes_spooled", count=len(batch), reason=error.message)
                await self._spool([waiting for waiting in batch if not waiting.handled])
                return
            await self._hand_on(ready)
        finally:
            for _ in batch:
                self._line.task_done()

    async def _spool(self, batch: Sequence[_Waiting]) -> None:
        await self._raw.keep([(waiting.arrival, waiting.at) for waiting in batch])
        self.spooled += len(batch)
        for waiting in batch:
            waiting.finish()

    async def _open_raw(self, arrivals: Sequence[tuple[Arrival, datetime]]) -> None:
        """What was spooled, opened and durable on return. StoreError where the database is still away."""
        loop = asyncio.get_running_loop()
        batch = [_Waiting(arrival, at, loop.create_future(), False) for arrival, at in arrivals]
        try:
            for ready in await self._open(batch):
                await self._intake.put(ready.content.finished)
                self.kept += 1
                ready.waiting.finish()
            await self._intake.settled()
        finally:
            for waiting in batch:
                waiting.done.cancel()
                if not waiting.done.cancelled():
                    waiting.done.exception()  # told already

    async def _open(self, batch: Sequence[_Waiting]) -> list[_Ready]:
        """Those that are sound; the others are refused, or in quarantine. StoreError."""
        claims: dict[_Waiting, Claim] = {}
        for waiting in batch:
            try:
                claims[waiting] = claim_of(waiting.arrival)
            except (ProtocolError, SecurityError) as error:
                self._refuse(waiting, error)
        known = await self.meters.find(claims.values())
        ready, again = await self._open_known(claims, known, last=False)
        if again:
            self.meters.forget(again.values())
            known = await self.meters.find(again.values())
            ready += (await self._open_known(again, known, last=True))[0]
        unknown = [
            waiting for waiting, claim in claims.items() if known.get(claim) is None and claim not in again.values()
        ]
        await self._put_in_quarantine({waiting: claims[waiting] for waiting in unknown if not waiting.done.done()})
        return ready

    async def _open_known(
        self, claims: dict[_Waiting, Claim], known: dict[Claim, KnownMeter | None], *, last: bool
    ) -> tuple[list[_Ready], dict[_Waiting, Claim]]:
        """Those that open, and those that may with keys that are looked up anew."""
        ready: list[_Ready] = []
        again: dict[_Waiting, Claim] = {}
        stale = self._now() - STALE_S
        for number, (waiting, claim) in enumerate(claims.items()):
            if number % AT_A_TURN == 0:
                await asyncio.sleep(0)
            meter = known[claim]
            if meter is None:
                continue
            try:
                push = open_push(waiting.arrival, meter.pushing)
                content = content_of(push, meter, waiting.at)
                self._admit(meter, content)
            except SecurityError as error:
                if last or meter.found_at > stale:
                    self._refuse(waiting, error)
                else:
                    again[waiting] = claim
            except HeadEndError as error:
                self._refuse(waiting, error)
            except Exception:
                log.exception("push_broke", meter=meter.pushing.name, peer=waiting.arrival.peer)
                self._refuse(waiting, ProtocolError("a fault of ours", meter=meter.pushing.name))
            else:
                ready.append(_Ready(waiting, meter, push, content))
        return ready, again

    def _admit(self, meter: KnownMeter, content: Content) -> None:
        allowance = meter.alarms if content.alarm else meter.readings
        if not allowance.take(self._now()):
            raise ProtocolError(
                "more pushes than a meter is allowed a minute",
                meter=meter.pushing.name,
                remedy="see push.max_per_meter_minute, and why it pushes so often",
            )

    async def _put_in_quarantine(self, unknown: dict[_Waiting, Claim]) -> None:
        for waiting, claim in unknown.items():
            arrival = waiting.arrival
            self.unknown += 1
            self.quarantine.note(claim, arrival.peer, arrival.apdu, waiting.at, "not registered")
        await self.quarantine.write(self._clock())
        for waiting, claim in unknown.items():
            error = SecurityError(
                f"a push from {claim.sender}, who is not registered", remedy="`headend meters discovered` lists it"
            )
            self._refuse(waiting, error)

    def _refuse(self, waiting: _Waiting, error: HeadEndError) -> None:
        self.refuse(error, waiting.arrival.peer)
        waiting.fail(error)

    # -- to the intake -----------------------------------------------------------------------------------------

    async def _hand_on(self, ready: Sequence[_Ready]) -> None:
        await self._put([one for one in ready if not one.content.alarm])
        for one in ready:
            if one.content.alarm:
                self.alarms += 1
                await self._alarms.put(one)

    async def _put(self, ready: Sequence[_Ready]) -> None:
        awaited = []
        for one in ready:
            await self._intake.put(one.content.finished)
            self.kept += 1
            if one.awaited:
                awaited.append(one)
            else:
                one.waiting.finish()
        if not awaited:
            return
        while self._awaited > CONFIRMING:
            await asyncio.wait(self._confirming, return_when=asyncio.FIRST_COMPLETED)
        self._awaited += len(awaited)
        task = asyncio.create_task(self._confirm(awaited))
        self._confirming.add(task)
        task.add_done_callback(self._confirming.discard)

    async def _confirm(self, ready: Sequence[_Ready]) -> None:
        """Say that they are kept, once they are durable."""
        try:
            await self._intake.settled()
            protected = [one.meter for one in ready if one.push.awaits_confirmation and one.push.protection is not None]
            try:
                await self.meters.reserve(protected)
            except StoreError as error:
                log.warning("pushes_not_confirmed", count=len(protected), reason=error.message)
            for one in ready:
                one.waiting.finish(self._confirmation(one.push))
        finally:
            self._awaited -= len(ready)

    def _confirmation(self, push: Opened) -> bytes | None:
        try:
            return push.confirmation()
        except SecurityError as error:
            log.warning("push_not_confirmed", meter=push.meter.name, reason=error.message)
            return None
