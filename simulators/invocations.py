"""The invocation counters that a meter has received under its keys, and any that came twice.

The one rule: every counter that arrives is noted before anything is checked, so that a repeat is seen in refused
traffic too (wrong tag, wrong policy, replay). A repeated (title, counter) under one key breaks AES-GCM.

Memory is bounded: counters come in rising runs, so they are kept as ranges; beyond `MAX_RANGES` the lowest range is
forgotten, and whatever lies beneath the forgotten ones counts as a repeat, which for a client that never falls it is.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

MAX_RANGES = 512
MAX_TITLES = 64
MAX_EXAMPLES = 8
MAX_TRANSACTIONS = 1024


class InvocationRecord:
    """All (client system title, counter) received under one key of one meter.

    `repeats` counts those that came again; `examples` holds the first few as (title, counter). Both are one and the
    same for all keys of a meter.
    """

    def __init__(self, found: _Found | None = None) -> None:
        self._found = found or _Found()
        self._seen: dict[bytes, _Ranges] = {}

    @property
    def repeats(self) -> int:
        return self._found.repeats

    @property
    def examples(self) -> list[tuple[bytes, int]]:
        return self._found.examples

    def of_another_key(self) -> InvocationRecord:
        """For another key of the same meter, under which nothing has come yet."""
        return InvocationRecord(self._found)

    def note(self, title: bytes, counter: int) -> None:
        """A protected APDU from the client with this title carried this counter, whatever becomes of it."""
        if title not in self._seen:
            if len(self._seen) >= MAX_TITLES:
                # The title that was heard first goes; a client in use is heard again and again.
                self._seen.pop(next(iter(self._seen)))
            self._seen[title] = _Ranges()
        if self._seen[title].add(counter):
            self._found.repeats += 1
            if len(self.examples) < MAX_EXAMPLES:
                self.examples.append((title, counter))


class KeyUse:
    """What a client has shown under one key: `last` is its highest counter that was proved, `record` has all."""

    def __init__(self, record: InvocationRecord, last: int) -> None:
        self.record = record
        self.last = last

    def took(self, counter: int) -> None:
        """A client proved to hold the key with this counter."""
        self.last = max(self.last, counter)


class TransactionRecord:
    """The last transaction-ids that came, for keys that are made anew for each APDU and so have no rising counter."""

    def __init__(self) -> None:
        self._known: dict[bytes, None] = {}

    def add(self, transaction_id: bytes) -> bool:
        """Whether it is new."""
        if transaction_id in self._known:
            return False
        if len(self._known) >= MAX_TRANSACTIONS:
            self._known.pop(next(iter(self._known)))
        self._known[transaction_id] = None
        return True


@dataclass(slots=True)
class _Found:
    repeats: int = 0
    examples: list[tuple[bytes, int]] = field(default_factory=list)


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
