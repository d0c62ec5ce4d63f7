"""The invocation counters that a meter has received under one key, and any that came twice.

The one rule: every counter that arrives is noted before anything is checked, so that a repeat is seen in refused
traffic too (wrong tag, wrong policy, replay). A repeated (title, counter) under one key breaks AES-GCM.

Memory is bounded: counters come in rising runs, so they are kept as ranges; beyond `MAX_RANGES` the lowest range is
forgotten, and whatever lies beneath the forgotten ones counts as a repeat, which for a client that never falls it is.
"""

from __future__ import annotations

from bisect import bisect_right

MAX_RANGES = 512
MAX_TITLES = 64
MAX_EXAMPLES = 8


class InvocationRecord:
    """All (client system title, counter) received under one key of one meter.

    `repeats` counts those that came again; `examples` holds the first few as (title, counter).
    """

    def __init__(self) -> None:
        self.repeats = 0
        self.examples: list[tuple[bytes, int]] = []
        self._seen: dict[bytes, _Ranges] = {}

    def note(self, title: bytes, counter: int) -> None:
        """A protected APDU from the client with this title carried this counter, whatever becomes of it."""
        if title not in self._seen:
            if len(self._seen) >= MAX_TITLES:
                # The title that was heard first goes; a client in use is heard again and again.
                self._seen.pop(next(iter(self._seen)))
            self._seen[title] = _Ranges()
        if self._seen[title].add(counter):
            self.repeats += 1
            if len(self.examples) < MAX_EXAMPLES:
                self.examples.append((title, counter))


class _Ranges:
    """A set of counters as disjoint ranges [first, last], ascending."""

    __slots__ = ("_first", "_forgotten", "_last")

    def __init__(self) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        self._forgotten = -1

    def add(self, counter: int) -> bool:
        """Whether the counter was there already, or lies where the set has forgotten."""
        place = bisect_right(self._first, counter)
        if counter <= self._forgotten or (place and counter <= self._last[place - 1]):
            return True
        joins_left = bool(place) and self._last[place - 1] == counter - 1
        joins_right = place < len(self._first) and self._first[place] == counter + 1
        if joins_left and joins_right:
            self._last[place - 1] = self._last.pop(place)
            self._first.pop(place)
        elif joins_left:
            self._last[place - 1] = counter
        elif joins_right:
            self._first[place] = counter
        else:
            self._first.insert(place, counter)
            self._last.insert(place, counter)
            self._bound()
        return False

    def _bound(self) -> None:
        if len(self._first) > MAX_RANGES:
            self._first.pop(0)
            self._forgotten = self._last.pop(0)
