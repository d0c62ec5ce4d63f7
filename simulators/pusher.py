"""Pushes of a whole fleet, sent when the shared clock says so: twice, late, again, as meters do.

The one rule: an APDU is made once, when its push is due, and is the same however often it is sent. No more than
`MAX_PUSHING` are on their way at one time, and no more than `MAX_WAITING` wait for that, or to be tried again; while
there are so many, the schedule falls behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from profiles.errors import LinkError
from profiles.events import GROUPS
from profiles.events import event as event_of
from profiles.objects import AttributeRef
from simulators.meter import SimulatedMeter
from simulators.objects import DATA
from simulators.push import event, push, push_kind
from simulators.push_sender import send_push
from simulators.schedule import EVENT, Due, PushSchedule
from simulators.virtual_clock import VirtualClock

MAX_PUSHING: Final = 256
MAX_WAITING: Final = 20_000
WINDOW_S: Final = 3600
"""Of the schedule that is worked out at one time, ahead, in a thread."""

log = structlog.get_logger(__name__)


class Pusher:
    """Sends what `schedule` says, of `meters` by their index in the fleet, until cancelled."""

    def __init__(self, schedule: PushSchedule, meters: Mapping[int, SimulatedMeter], clock: VirtualClock) -> None:
        self.sent = 0
        """Pushes that got through, each once."""
        self.failed = 0
        """Pushes that were given up."""
        self._schedule = schedule
        self._meters = meters
        self._clock = clock
        self._covers = schedule.covers()
        self._room = asyncio.Semaphore(MAX_WAITING)
        self._lines = asyncio.Semaphore(MAX_PUSHING)
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        since = int(self._clock().timestamp())
        try:
            coming = self._window(since)
            while True:
                dues, since = await coming, since + WINDOW_S
                coming = self._window(since)
                for due in dues:
                    await self._clock.sleep_until(due.at)
                    await self._room.acquire()
                    self._start(due)
                await self._clock.sleep_until(since - WINDOW_S // 2)
        finally:
            coming.cancel()
            for task in self._sending:
                task.cancel()

    def _window(self, since: int) -> asyncio.Task[list[Due]]:
        return asyncio.create_task(asyncio.to_thread(self._schedule.within, since, since + WINDOW_S))

    def _start(self, due: Due) -> None:
        task = asyncio.create_task(self._push(due))
        self._sending.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("push_failed", exc_info=error)

    async def _push(self, due: Due) -> None:
        meter, plan, schedule = self._meters[due.meter], self._schedule.plan, self._schedule
        apdu = self._apdu(meter, due)
        if apdu is None:
            return
        if schedule.draw("is held back", due) < plan.held_back:
            await self._clock.sleep_until(due.at + schedule.draw("is held back by", due) * plan.longest_held_back_s)
        copies = 2 if schedule.draw("is sent twice", due) < plan.duplicates else 1
        for attempt in range(plan.retries + 1):
            if attempt:
                await self._clock.sleep_until(self._clock().timestamp() + plan.retry_after_s)
            try:
                async with self._lines:
                    for _ in range(copies):
                        await send_push(meter, [apdu], plan.to, push_kind(meter.meter_type).client_sap)
                self.sent += 1
                return
            except LinkError:
                continue
        self.failed += 1

    def _apdu(self, meter: SimulatedMeter, due: Due) -> bytes | None:
        """The push; None where the meter's type has no such one."""
        cover = self._covers[due.meter]
        kind, counter = push_kind(meter.meter_type, cover), 0 if cover == "encryption" else None
        if due.what == EVENT:
            group = GROUPS.get(event_of(due.code).group)
            return None if group is None else event(meter, AttributeRef(DATA, group.code, 2), kind, counter=counter)
        if due.what not in meter.meter_type.pushes:
            return None
        raised = () if due.raised is None else (due.raised,)
        return push(meter, due.what, kind, counter=counter, raised=raised)
