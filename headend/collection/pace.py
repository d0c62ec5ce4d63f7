"""How many sessions are opened, at once and a second: what the network and the database bear.

The one rule: a place that comes free goes to the segment that has the fewest, so that segments that owe weeks leave
the others theirs, however many they are.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Final

_Turns = deque[asyncio.Future[None]]
_URGENT: Final = object()


class Pace:
    """The limits of one process; `async with pace.place(): await pace.turn()` before each session."""

    def __init__(self, max_open: int, new_per_s: float) -> None:
        self._taken: Counter[Hashable] = Counter()
        """Places, by whom they are of."""
        self._waiting: dict[Hashable, _Turns] = {}
        """First come first served, by whom they are of: those of whom nobody waits are not among them."""
        self._next = 0.0
        self.limit(max_open, new_per_s)

    @property
    def open(self) -> int:
        """Places that are taken."""
        return self._taken.total()

    def limit(self, max_open: int, new_per_s: float) -> None:
        """These hold from now on; where more places are taken than that, they come free as their sessions end."""
        self._max_open = max_open
        self._apart = 1 / new_per_s
        self._admit()

    @asynccontextmanager
    async def place(self, of: Hashable = None, *, urgent: bool = False) -> AsyncIterator[None]:
        """One of the open sessions, `of` a segment; waits for a free one, behind what is `urgent`."""
        of = _URGENT if urgent else of
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(of, deque()).append(turn)
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._taken[of] -= 1
                if not self._taken[of]:
                    del self._taken[of]
                self._admit()

    async def turn(self) -> None:
        """Wait until a new connection may be made."""
        loop = asyncio.get_running_loop()
        turn = max(loop.time(), self._next)
        self._next = turn + self._apart
        await asyncio.sleep(turn - loop.time())

    def _admit(self) -> None:
        free = self._max_open - self.open
        while self._waiting and free > 0:
            of = _URGENT if _URGENT in self._waiting else min(self._waiting, key=self._taken.__getitem__)
            turn = self._waiting[of].popleft()
            if not self._waiting[of]:
                del self._waiting[of]
            if not turn.done():
                self._taken[of] += 1
                free -= 1
                turn.set_result(None)
