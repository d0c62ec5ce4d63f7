"""What meters push, and when: by the clock, at events, as their supply goes and comes back.

The one rule: a schedule is a function of seed, meter and time, worked out for all meters of a window at once. It sends
nothing (`pusher.py` does), and remembers nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.address import Scheme, parse_address
from profiles.errors import SettingsError
from profiles.events import FIRST_BREATH, LAST_GASP
from profiles.type_file import Keys
from simulators.load.days import IST_OFFSET_S
from simulators.load.noise import Floats, Integers, choose, unit
from simulators.spans import Spans
from simulators.state import HDLC, TCP, UDP, Destination
from simulators.tampers import TAMPERS
from simulators.world import World

COVERS: Final = ("clear", "encryption", "authentication-and-encryption")
"""Those seen on pushes in the field (docs/meter-facts.md, "Push"); encryption alone with a counter that stays 0."""
ALERT: Final = "alert"
EVENT: Final = "event"
"""What a due is of, where it is not a push by its name: an event-notification."""

_SERVICES: Final = {Scheme.TCP: TCP, Scheme.UDP: UDP, Scheme.HDLC_TCP: HDLC}
_MINUTE_S: Final = 60
_DAY_MINUTES: Final = 1440
_JOIN_S: Final = 3600
"""A first breath comes no later than this after the end of an outage."""
_NOTICED_S: Final = 4 * 3600
"""Tampers that began this long before a window are looked at too: those of a meter that had no supply meanwhile."""
_ALERT_LATE_S: Final = 20.0
"""How long after an event an alert comes at the latest."""


class Due(NamedTuple):
    """One push: when (seconds since 1970 UTC), of which meter, what: the name of a push, or `EVENT`.

    `raised`: a bit of the event status word that is set because of what happened; `code`: of the event.
    """

    at: float
    meter: int
    what: str
    raised: int | None = None
    code: int = 0


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What is pushed to `to`. `every`: minutes between the pushes of this name; each meter pushes within `spread_s`
    after the whole period, at random. `covers`: shares of meters by how their pushes are covered.

    `retries`: how often a push that did not get through is tried again. `duplicates`, `held_back`: shares (0 to 1) of
    pushes that are sent twice, and up to `longest_held_back_s` late, so that others overtake them. `last_gasps_lost`:
    share of those that nobody hears.
    """

    to: Destination
    every: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    spread_s: int = 300
    alerts: bool = True
    events: bool = False
    covers: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({COVERS[-1]: 1.0}))
    retries: int = 2
    retry_after_s: float = 60.0
    duplicates: float = 0.0
    held_back: float = 0.0
    longest_held_back_s: float = 3600.0
    last_gasps_lost: float = 0.0


def read_push_plan(keys: Keys) -> PushPlan:
    """From a table with a `destination`. SettingsError names the key."""
    every, covers = keys.table("every_minutes"), keys.table("covers")
    plan = PushPlan(
        to=_destination(keys),
        every=MappingProxyType({name: _minutes(every, name) for name, _ in every.items()}),
        spread_s=keys.integer("spread_s", 0, _DAY_MINUTES * _MINUTE_S, 300),
        alerts=keys.flag("alerts", True),
        events=keys.flag("events", False),
        covers=MappingProxyType(_covers(covers) or {COVERS[-1]: 1.0}),
        retries=keys.integer("retries", 0, 100, 2),
        retry_after_s=keys.number("retry_after_s", 0, 86_400, 60),
        duplicates=keys.number("duplicates", 0, 1, 0),
        held_back=keys.number("held_back", 0, 1, 0),
        longest_held_back_s=keys.number("longest_held_back_s", 0, 86_400, 3600),
        last_gasps_lost=keys.number("last_gasps_lost", 0, 1, 0),
    )
    for name, minutes in plan.every.items():
        if plan.spread_s > minutes * _MINUTE_S:
            raise keys.wrong("spread_s", message=f"is longer than the {minutes} minutes between pushes of {name}")
    keys.close()
    return plan


class PushSchedule:
    """The pushes of `meters`, indexes in the fleet. `world`: where what happens comes from; None where nothing does."""

    def __init__(self, plan: PushPlan, seed: int, meters: ArrayLike, world: World | None = None) -> None:
        self.plan = plan
        self._seed = seed
        self._meters: Integers = np.asarray(meters, np.int64)
        self._world = world

    def within(self, since: int, until: int) -> list[Due]:
        """All that are due in [since, until), by time."""
        found = list(self._by_the_clock(since, until))
        if self._world is not None and (self.plan.alerts or self.plan.events):
            found += self._of_outages(self._world, since, until)
            found += self._of_events(self._world, since, until)
        return sorted(found, key=lambda due: (due.at, due.meter, due.what))

    def covers(self) -> dict[int, str]:
        """How the pushes of each meter are covered."""
        chosen = choose(unit(self._seed, "push cover", self._meters), list(self.plan.covers.values()))
        names = list(self.plan.covers)
        return {meter: names[place] for meter, place in zip(self._meters.tolist(), chosen.tolist(), strict=True)}

    def draw(self, purpose: str, due: Due) -> float:
        """Noise in [0, 1) for one push."""
        return float(unit(self._seed, f"push {purpose} {due.what}", due.meter, int(due.at)))

    def _by_the_clock(self, since: int, until: int) -> Iterator[Due]:
        """Those that are due after whole periods of local time; a meter without supply pushes nothing."""
        off = Spans.none() if self._world is None else self._world.outages.spans(self._meters, since, until).merged()
        for name, minutes in self.plan.every.items():
            period_s = minutes * _MINUTE_S
            first, last = ((moment + IST_OFFSET_S) // period_s for moment in (since - self.plan.spread_s, until))
            for number in range(first, last + 1):
                late = unit(self._seed, f"push {name} is late by", self._meters, number) * self.plan.spread_s
                at = number * period_s - IST_OFFSET_S + late
                due = (at >= since) & (at < until) & ~_within(off, at)
                for moment, meter in zip(at[due].tolist(), self._meters[due].tolist(), strict=True):
                    yield Due(moment, meter, name)

    def _of_outages(self, world: World, since: int, until: int) -> Iterator[Due]:
        """Last gasps and first breaths: alerts with a bit of the status word of their own."""
        if not self.plan.alerts:
            return
        spans = world.outages.spans(self._meters, since - _JOIN_S, until)
        for meter in self._meters[np.unique(spans.row)].tolist():
            for failure in world.power_failures(meter, since - _JOIN_S, until):
                gasp = Due(failure.last_gasp_at, meter, ALERT, LAST_GASP)
                if since <= gasp.at < until and self.draw("is lost", gasp) >= self.plan.last_gasps_lost:
                    yield gasp
                if failure.first_breath_at is not None and since <= failure.first_breath_at < until:
                    yield Due(failure.first_breath_at, meter, ALERT, FIRST_BREATH)

    def _of_events(self, world: World, since: int, until: int) -> Iterator[Due]:
        """Of all else that a meter notices, and of the failure of its supply once that is back."""
        before = int(since - _ALERT_LATE_S)
        rows = [world.outages.spans(self._meters, before - _JOIN_S, until).row]
        rows += [world.tampers.spans(sort, self._meters, before - _NOTICED_S, until).row for sort in TAMPERS]
        for meter in self._meters[np.unique(np.concatenate(rows))].tolist():
            failures = world.power_failures(meter, before - _JOIN_S, until)
            for occurrence in world.events(meter, before, until):
                if any(one.start <= occurrence.at < one.restored_at for one in failures):
                    continue
                due = Due(occurrence.at, meter, ALERT, code=occurrence.code)
                at = occurrence.at + self.draw("is late by", due) * _ALERT_LATE_S
                if not since <= at < until:
                    continue
                if self.plan.alerts:
                    yield due._replace(at=at)
                if self.plan.events:
                    yield due._replace(at=at, what=EVENT)


def _within(spans: Spans, at: Floats) -> NDArray[np.bool_]:
    """Whether each row's moment lies in one of its spans, which are merged."""
    if not len(spans):
        return np.zeros(len(at), bool)
    past, first = spans.at(np.arange(len(at)), at.astype(np.int64))
    place = np.minimum(past + first, len(spans) - 1)
    is_own = spans.row[place] == np.arange(len(at))
    inside: NDArray[np.bool_] = is_own & (spans.start[place] <= at) & (at < spans.end[place])
    return inside


def _destination(keys: Keys) -> Destination:
    try:
        address = parse_address(keys.text("destination"))
    except SettingsError as error:
        raise keys.wrong("destination", message=error.message) from None
    if address.scheme not in _SERVICES:
        raise keys.wrong("destination", message=f"meters push by {', '.join(_SERVICES)}")
    host = f"[{address.host}]" if ":" in address.host else address.host
    return Destination(_SERVICES[address.scheme], f"{host}:{address.port}".encode())


def _minutes(keys: Keys, name: str) -> int:
    minutes = keys.integer(name, 1, _DAY_MINUTES)
    if _DAY_MINUTES % minutes:
        raise keys.wrong(name, message="must divide a day")
    return minutes


def _covers(keys: Keys) -> dict[str, float]:
    for name, _ in keys.items():
        if name not in COVERS:
            raise keys.wrong(name, message=f"is no cover; there are {', '.join(COVERS)}")
    shares = {name: keys.number(name, 0, 1e9, 0) for name, _ in keys.items()}
    if shares and not any(shares.values()):
        raise keys.wrong(message="needs at least one share above 0")
    return shares
