"""How many sessions are opened, at once and a second: what the network and the database bear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Pace:
    """The limits of one process; `async with pace.place(): await pace.turn()` before each session."""

    def __init__(self, max_open: int, new_per_s: float) -> None:
        self._places = asyncio.Semaphore(max_open)
        self._apart = 1 / new_per_s
        self._next = 0.0
        self.open = 0
        """Places that are taken."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the open sessions; waits for a free one."""
        async with self._places:
            self.open += 1
            try:
                yield
            finally:
                self.open -= 1

    async def turn(self) -> None:
        """Wait until a new connection may be made."""
        loop = asyncio.get_running_loop()
        turn = max(loop.time(), self._next)
        self._next = turn + self._apart
        await asyncio.sleep(turn - loop.time())
