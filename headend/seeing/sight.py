"""What can be seen of this process: its parts as they run now, its numbers, whether it is alive and ready.

The one rule: looking costs nothing and waits for nothing; whoever asks gets what is known at this moment.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from headend.collection.collector import Collector
from headend.intake import Intake
from headend.push.listener import Listening
from headend.seeing.pulse import Pulse
from headend.spool.spool import Spool

DATABASE_SEEN_S: Final = 30.0
"""After so long without an answer the database counts as away; and a node that has not written, as gone."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one node does at a moment; counts are since the process began, or the database came back."""

    open_sessions: int = 0
    sessions: Mapping[str, int] = field(default_factory=dict)
    """By outcome: `answered`, or the kind of error."""
    intervals: int = 0
    """Stored: new or changed."""
    intervals_per_s: float = 0.0
    batches: int = 0
    held: int = 0
    """Rows that wait in memory to be written."""
    spool_waiting: Mapping[str, int] = field(default_factory=dict)
    """Entries by kind."""
    spool_octets: int = 0
    spool_limit: int = 0
    spool_oldest_s: float = 0.0
    spool_full: bool = False
    database_away: bool = False
    pushes: Mapping[str, int] = field(default_factory=dict)
    """By outcome: kept, alarms (of the kept), refused, unknown (of the refused), spooled, failed."""
    pushes_per_s: float = 0.0
    pushes_waiting: int = 0
    push_connections: int = 0
    dispatched_s_ago: float | None = None
    """None: this node has not dispatched yet, or has not that role."""

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all nodes share, as the database said last."""

    jobs_waiting: Mapping[str, int]
    """By queue."""
    segments_down: int
    meters_silent: int
    owed: int
    """Intervals of the block load, of yesterday and today."""


class Sight:
    """The daemon puts its parts here as they begin, and takes them away as they end. `clock` gives aware times."""

    def __init__(self, roles: Collection[str], clock: Callable[[], datetime]) -> None:
        self.node = f"{platform.node()}-{os.getpid()}"
        self.roles = sorted(roles)
        self.clock = clock
        self.started_at = clock()
        self.pulse = Pulse()
        self.intake: Intake | None = None
        self.spool: Spool | None = None
        self.collector: Collector | None = None
        self.listening: Listening | None = None
        self.dispatched_at: datetime | None = None
        self.database_seen_at: datetime | None = None
        self.cluster: Cluster | None = None
        self._measured: tuple[float, int, int] = (time.monotonic(), 0, 0)
        """When, intervals stored and pushes kept until then."""
        self._rates = (0.0, 0.0)
        self.waiting_for: set[str] = set()
        """Parts of this node's roles that do not run (yet, or just now)."""

    def attach(self, intake: Intake, spool: Spool, collector: Collector) -> None:
        """These run now."""
        self.intake, self.spool, self.collector = intake, spool, collector

    def detach(self) -> None:
        """Nothing runs."""
        self.intake = self.spool = self.collector = self.listening = None

    def measure(self) -> None:
        """Find the rates since the last time; called every few seconds."""
        now, intervals, pushes = time.monotonic(), self._intervals(), self._pushes()
        before, *counts = self._measured
        span = max(now - before, 1e-3)
        self._rates = (max(0, intervals - counts[0]) / span, max(0, pushes - counts[1]) / span)
        self._measured = (now, intervals, pushes)

    def hanging(self) -> list[str]:
        """Parts that hang: the process is to be started anew. Empty: it is alive."""
        return self.pulse.late() + (["writers"] if self.intake is not None and self.intake.hung else [])

    def not_ready(self) -> list[str]:
        """Why no work should be sent here. Empty: it is ready."""
        reasons = [f"{part} hangs" for part in self.hanging()]
        if self.intake is None or self.intake.away or not self._database_seen():
            reasons.append("the database is away")
        if self.intake is not None and self.intake.full:
            reasons.append("the spool is full")
        broker = self.listening.broker if self.listening is not None else None
        if broker is not None and not broker.connected:
            reasons.append("the broker is away")
        return reasons + [f"{part} does not run" for part in sorted(self.waiting_for)]

    def numbers(self) -> Numbers:
        """All of it now."""
        return Numbers(
            database_away=self.intake is None or self.intake.away or not self._database_seen(),
            dispatched_s_ago=self._since(self.dispatched_at),
            **self._of_intake(),
            **self._of_spool(),
            **self._of_collection(),
            **self._of_pushes(),
        )

    def _intervals(self) -> int:
        return 0 if self.intake is None else self.intake.written.inserted + self.intake.written.updated

    def _pushes(self) -> int:
        return 0 if self.listening is None else self.listening.arrivals.kept

    def _of_intake(self) -> dict[str, Any]:
        if self.intake is None:
            return {}
        return {
            "intervals": self._intervals(),
            "intervals_per_s": round(self._rates[0], 1),
            "batches": self.intake.batches,
            "held": self.intake.held,
            "spool_full": self.intake.full,
        }

    def _of_spool(self) -> dict[str, Any]:
        if self.spool is None:
            return {}
        size = self.spool.size
        return {
            "spool_waiting": dict(size.waiting),
            "spool_octets": size.octets,
            "spool_limit": size.limit,
            "spool_oldest_s": self._since(size.oldest_at) or 0.0,
        }

    def _of_collection(self) -> dict[str, Any]:
        if self.collector is None:
            return {}
        return {"open_sessions": self.collector.pace.open, "sessions": dict(self.collector.outcomes)}

    def _of_pushes(self) -> dict[str, Any]:
        if self.listening is None:
            return {}
        arrivals = self.listening.arrivals
        outcomes = ("kept", "alarms", "refused", "unknown", "spooled", "failed")
        return {
            "pushes": {outcome: getattr(arrivals, outcome) for outcome in outcomes},
            "pushes_per_s": round(self._rates[1], 1),
            "pushes_waiting": arrivals.waiting + arrivals.alarms_waiting,
            "push_connections": self.listening.connections,
        }

    def _database_seen(self) -> bool:
        since = self._since(self.database_seen_at)
        return since is not None and since < DATABASE_SEEN_S

    def _since(self, moment: datetime | None) -> float | None:
        return None if moment is None else max(0.0, (self.clock() - moment).total_seconds())
