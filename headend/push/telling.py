"""Tells of refused pushes in the log, as many as a person reads; the rest are counted.

The one rule: whoever sends garbage must not fill the disk with our lines about it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from profiles.errors import HeadEndError

LINES: Final = 20
"""At most, in each `PERIOD_S`."""
PERIOD_S: Final = 10.0

log = structlog.get_logger(__name__)


class Refusals:
    """`now` is of any clock that only goes forward, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._since = now()
        self._told = self._silent = 0

    def tell(self, error: HeadEndError, peer: str) -> None:
        """One was refused."""
        if self._now() >= self._since + PERIOD_S:
            if self._silent:
                log.warning("pushes_refused", count=self._silent)
            self._since, self._told, self._silent = self._now(), 0, 0
        if self._told >= LINES:
            self._silent += 1
            return
        self._told += 1
        log.warning("push_refused", peer=peer, meter=error.meter, kind=type(error).__name__, reason=error.message)
