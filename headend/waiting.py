"""How programs of ours run, wait and end: on uvloop, until a signal comes, with work beside them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any, Final, TypeVar

from headend.garbage import look_seldom
from profiles.errors import StoreError

T = TypeVar("T")
_LET_GO: Final[set[asyncio.Task[Any]]] = set()
"""Held until they end: the event loop alone does not keep them."""


def run_async(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on uvloop."""
    import uvloop

    look_seldom()
    return uvloop.run(main())


@contextlib.contextmanager
def signals(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """While this lasts, signals call these."""
    loop = asyncio.get_running_loop()
    for number, handle in handlers.items():
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """`work` goes on as long as this lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await ended(task)


async def until(work: asyncio.Task[Any], stop: asyncio.Event) -> None:
    """Wait until either is done."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    await ended(stopped)


async def ended(task: asyncio.Task[object]) -> None:
    """Cancel it and wait for its end, whatever that is."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


async def let_go(work: Coroutine[Any, Any, T]) -> T:
    """Await it; where that is cancelled, so is the work, whose end nobody waits for: a driver of a database waits long
    for a server that does not answer."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        _LET_GO.add(task)
        task.add_done_callback(_gone)
        task.cancel()
        raise


def _gone(task: asyncio.Task[Any]) -> None:
    _LET_GO.discard(task)
    if not task.cancelled():
        task.exception()  # nobody wants to know


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep so long, or until `stop`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()


def first_of(group: BaseExceptionGroup[StoreError]) -> StoreError:
    """The first error of a group of them."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error
