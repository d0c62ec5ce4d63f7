"""Ctrl-C while a command has a meter open.

The one rule: the first one cancels what is being done, which releases the meter; a second ends the program at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar

T = TypeVar("T")

EXIT_CODE: Final = 130
_SHOW_CURSOR: Final = b"\x1b[?25h"


def run_with_meter(job: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, which waits for a job that was cancelled however often it is interrupted. In the main thread.

    Raises what the job raises, and KeyboardInterrupt.
    """

    async def heeding() -> T:
        cancel = signal.getsignal(signal.SIGINT)  # asyncio's own, but in a shell's background job

        def first(number: int, frame: FrameType | None) -> None:
            for again in (signal.SIGINT, signal.SIGTERM):
                signal.signal(again, _end)
            if callable(cancel):
                cancel(number, frame)

        if callable(cancel):
            signal.signal(signal.SIGINT, first)
        try:
            return await job
        finally:
            signal.signal(signal.SIGINT, cancel)

    return asyncio.run(heeding())


def _end(number: int, frame: FrameType | None) -> NoReturn:
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)  # what shows how far it is hides it
    os._exit(EXIT_CODE)
