"""Replays of pushes, told by invocation counters: a sliding window for each meter and key (as in RFC 4303, 3.4.3).

Pushes are repeated and overtake each other in the field, so a counter need not rise; it must not come twice. The one
rule: only counters that a tag or a signature covers may be put to a window, else anyone could move it out of reach.

A window is a value: who keeps it reads it, calls `accept` with all counters of a batch, and writes back the window
together with what was new, in one transaction. Any order of batches on any machine then decides alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

WIDTH: Final = 64
"""Counters that a window remembers, the highest included; the bitmap fits eight octets."""
_BITS: Final = (1 << WIDTH) - 1


class Freshness(Enum):
    """What a window says of a counter."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """This very counter was accepted before."""
    TOO_OLD = "too old"
    """So far below the highest that nobody remembers: refused, though it may be a late one."""


@dataclass(frozen=True, slots=True)
class ReplayWindow:
    """The highest counter accepted, and which of those just below it: bit n of `bitmap` stands for `highest - n`."""

    highest: int = -1
    """-1: none yet."""
    bitmap: int = 0


def accept(window: ReplayWindow, counters: Iterable[int]) -> tuple[ReplayWindow, list[Freshness]]:
    """The window after these counters, and what it says of each, in their order."""
    highest, bitmap = window.highest, window.bitmap
    said = []
    for counter in counters:
        ahead = counter - highest
        if ahead > 0:
            bitmap = (bitmap << ahead | 1) & _BITS if ahead < WIDTH else 1
            highest = counter
            said.append(Freshness.NEW)
        elif ahead <= -WIDTH:
            said.append(Freshness.TOO_OLD)
        elif bitmap >> -ahead & 1:
            said.append(Freshness.DUPLICATE)
        else:
            bitmap |= 1 << -ahead
            said.append(Freshness.NEW)
    return ReplayWindow(highest, bitmap), said
