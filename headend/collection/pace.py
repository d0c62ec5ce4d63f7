"""How many sessions are opened, at once and a second: what the network and the database bear."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Pace:
    """The limits of one process; `async with pace.place(): await pace.turn()` before each session."""

    def __init__(self, max_open: int, new_per_s: float) -> None:
        self.open = 0
        """Places that are taken."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next = 0.0
        self.limit(max_open, new_per_s)

    def limit(self, max_open: int, new_per_s: float) -> None:
        """These hold from now on; where more places are taken than that, they come free as their sessions end."""
        self._max_open = max_open
        self._apart = 1 / new_per_s
        self._admit()

    @asynccontextmanager
    async def place(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """One of the open sessions; waits for a free one, first come first served, behind what is `urgent`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if urgent:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self.open -= 1
                self._admit()

    async def turn(self) -> None:
        """Wait until a new connection may be made."""
        loop = asyncio.get_running_loop()
        turn = max(loop.time(), self._next)
        self._next = turn + self._apart
        await asyncio.sleep(turn - loop.time())

    def _admit(self) -> None:
        while self._waiting and self.open < self._max_open:
            turn = self._waiting.popleft()
            if not turn.done():
                self.open += 1
                turn.set_result(None)
