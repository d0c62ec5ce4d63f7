"""Spans of time in which something is so for a node of the grid: a feeder without supply, a meter beside a magnet.

The one rule: spans are drawn day by day from noise, so that those of any window are found without looking at any other
days than those of the window and the few before it in which one may have begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.load.noise import Floats, Integers, unit

DAY_S: Final = 86_400
YEAR_DAYS: Final = 365.25
MOST_PER_YEAR: Final = 365.0
"""A node begins at most one span of a sort in a day."""
_SHORTEST_S: Final = 1
_ROW: Final = 2**34
"""Above every moment: rows and moments make one number, by which spans are sorted and found."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happens to a node, and for how long: half of the times no longer than `median_s`."""

    per_year: float
    median_s: float
    longest_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Spans [start, end) in seconds since 1970 UTC, each of the meter or node in place `row`; arrays of one length."""

    row: Integers
    start: Integers
    end: Integers

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def none(cls) -> Spans:
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty)

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int, int]]) -> Spans:
        """From (row, start, end)."""
        table = np.array(list(spans), np.int64).reshape(-1, 3)
        return cls(table[:, 0], table[:, 1], table[:, 2])

    def within(self, since: int, until: int) -> Spans:
        """Those that overlap [since, until), whole."""
        return self._where((self.start < until) & (self.end > since))

    def of_members(self, members: Integers) -> Spans:
        """The spans of nodes as spans of their members: `members` has the node's row for each member."""
        if not len(self):
            return self
        order = np.argsort(self.row, kind="stable")
        node = self.row[order]
        first = np.searchsorted(node, members, "left")
        number = np.searchsorted(node, members, "right") - first
        member = np.repeat(np.arange(len(members)), number)
        nth = np.arange(len(member)) - np.repeat(np.cumsum(number) - number, number)
        which = order[np.repeat(first, number) + nth]
        return Spans(member, self.start[which], self.end[which])

    def merged(self, gap_s: int = 0) -> Spans:
        """Sorted by row and start; those that overlap, or have no more than `gap_s` between them, are one."""
        if not len(self):
            return self
        order = np.lexsort((self.start, self.row))
        start, end = (self.row * _ROW + self.start)[order], (self.row * _ROW + self.end)[order]
        reached = np.maximum.accumulate(end)
        first = np.flatnonzero(np.concatenate([[True], start[1:] > reached[:-1] + gap_s]))
        last = np.concatenate([first[1:], [len(start)]]) - 1
        row = start[first] // _ROW
        return Spans(row, start[first] - row * _ROW, reached[last] - row * _ROW)

    def overlaps(self, starts: Integers, length_s: int) -> Overlaps:
        """What the spans have in common with each interval [start, start + length_s), for `starts` in any order."""
        if not len(self):
            return Overlaps(self.row, self.row, self.start, self.end)
        order = np.argsort(starts, kind="stable")
        sorted_ = starts[order]
        first = np.searchsorted(sorted_, self.start - length_s, "right")
        number = np.maximum(np.searchsorted(sorted_, self.end, "left") - first, 0)
        span = np.repeat(np.arange(len(self)), number)
        nth = np.arange(len(span)) - np.repeat(np.cumsum(number) - number, number)
        column = order[np.repeat(first, number) + nth]
        begin = np.maximum(self.start[span], starts[column])
        return Overlaps(self.row[span], column, begin, np.minimum(self.end[span], starts[column] + length_s))

    def at(self, rows: ArrayLike, moments: ArrayLike) -> tuple[Integers, Integers]:
        """How many spans of merged ones lie before each moment of a row, and where the row's first one is.

        The span at the sum of both, if it is of that row, is the one that holds the moment or the next one.
        """
        row, moment = np.broadcast_arrays(np.asarray(rows, np.int64), np.asarray(moments, np.int64))
        first = np.searchsorted(self.row, row, "left")
        past = np.searchsorted(self.row * _ROW + self.end, row * _ROW + moment, "right")
        return (past - first).astype(np.int64), first.astype(np.int64)

    def _where(self, which: NDArray[np.bool_]) -> Spans:
        return Spans(self.row[which], self.start[which], self.end[which])


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """Parts [begin, end) of intervals, each of the interval in place `column` and of a span's row."""

    row: Integers
    column: Integers
    begin: Integers
    end: Integers

    def seconds(self, shape: tuple[int, int]) -> Floats:
        """Seconds of each interval that the spans take, rows by columns."""
        taken = np.zeros(shape)
        if len(self.row):
            np.add.at(taken, (self.row, self.column), self.end - self.begin)
        return taken


def joined(*several: Spans) -> Spans:
    """All of them together, neither sorted nor merged."""
    return Spans(
        np.concatenate([spans.row for spans in several]),
        np.concatenate([spans.start for spans in several]),
        np.concatenate([spans.end for spans in several]),
    )


def whole(draw: Callable[[int, int], Spans], since: int, until: int, gap_s: int = 0) -> Spans:
    """What `draw(since, until)` finds in the window, merged just as if all time had been drawn.

    What reaches out of the window may be one with a span that lies outside it altogether: then more is drawn.
    """
    first, last = since, until
    while True:
        found = draw(first, last).merged(gap_s).within(since, until)
        if not len(found) or (found.start.min() - gap_s > first and found.end.max() + gap_s < last):
            return found
        first = min(first, int(found.start.min()) - gap_s - 1)
        last = max(last, int(found.end.max()) + gap_s + 1)


def drawn(seed: int, purpose: str, nodes: ArrayLike, rate: Rate, since: int, until: int) -> Spans:
    """The spans of `nodes` (coordinates of their noise) that overlap [since, until); rows are places in `nodes`."""
    if rate.per_year <= 0.0 or until <= since:
        return Spans.none()
    node = np.asarray(nodes)[:, None]
    day = np.arange((since - int(rate.longest_s)) // DAY_S, (until - 1) // DAY_S + 1)[None, :]
    row, column = np.nonzero(unit(seed, f"{purpose} begins", node, day) < rate.per_year / YEAR_DAYS)
    node, day = node[row, 0], day[0, column]
    start = day * DAY_S + (unit(seed, f"{purpose} starts", node, day) * DAY_S).astype(np.int64)
    chance = unit(seed, f"{purpose} lasts", node, day)
    length = rate.median_s * (chance / (1.0 - chance)) ** 0.8
    whole = np.clip(length, _SHORTEST_S, rate.longest_s).astype(np.int64)
    return Spans(row.astype(np.int64), start, start + whole).within(since, until)
