"""Pushes that wait in the spool as they came, while the database is away and with it the keys.

The one rule: once one is spooled, all that follow are, until the last was opened: so a meter's pushes stay in order,
and none falls behind its replay window.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from drivers.push import Arrival, Route
from headend.spool.entries import RawApdu
from headend.spool.spool import Spool
from profiles.errors import SpoolError, StoreError

AT_ONCE: Final = 2_000
LOOK_S: Final = 1.0
LONGEST_WAIT_S: Final = 5.0

Open = Callable[[Sequence[tuple[Arrival, datetime]]], Awaitable[None]]
"""Opens them; they are durable on return. StoreError where that can't be now."""

log = structlog.get_logger(__name__)


class RawPushes:
    """The spool's raw APDUs. `behind`: some wait."""

    def __init__(self, spool: Spool, clock: Callable[[], datetime]) -> None:
        self.behind = False
        self._spool = spool
        self._clock = clock
        self._order = asyncio.Lock()
        """Held to append, and to find that nothing waits any more."""

    @property
    def full(self) -> bool:
        """What came last found no room."""
        return self._spool.full

    async def look(self) -> None:
        """See whether some wait from before. SpoolError."""
        self.behind = await self._spool.waits(RawApdu)

    async def keep(self, arrivals: Sequence[tuple[Arrival, datetime]]) -> None:
        """Make them durable; waits for as long as there is no room."""
        entries = [RawApdu(at, one.route.framing, one.peer, one.apdu) for one, at in arrivals]
        wait_s = LOOK_S
        while entries:
            try:
                async with self._order:
                    await self._spool.append(entries)
                    self.behind = True
                return
            except SpoolError as error:
                log.error("spool_refuses", pushes=len(entries), again_in_s=wait_s, reason=str(error))
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def replay(self, open_them: Open) -> None:
        """Open what waits, oldest first, until cancelled."""
        wait_s = LOOK_S
        while True:
            try:
                going_on = self.behind and await self._replay_some(open_them)
                wait_s = LOOK_S
            except StoreError as error:
                log.warning("pushes_wait", again_in_s=wait_s, reason=str(error))
                going_on = False
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            if not going_on:
                await asyncio.sleep(wait_s)

    async def _replay_some(self, open_them: Open) -> bool:
        """Whether to go on at once."""
        async with self._spool.claim(RawApdu) as mine:
            waiting = await self._spool.oldest(RawApdu, AT_ONCE, self._clock()) if mine else []
            if waiting:
                await open_them([(_arrival(each.value), each.value.at) for each in waiting])
                await self._spool.remove([each.id for each in waiting])
                log.info("pushes_opened_late", count=len(waiting))
                return True
        async with self._order:
            self.behind = await self._spool.waits(RawApdu)
        return False


def _arrival(raw: RawApdu) -> Arrival:
    """As it came, but for the way back: nobody waits for an answer any more."""
    return Arrival(raw.octets, Route("bare"), raw.peer)
