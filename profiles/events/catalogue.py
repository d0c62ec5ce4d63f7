"""The events of IS 15959 meters: what an event code says, in which log it stands, and which one ends it.

The one rule: no code is ever refused. What is not in the table is an unknown event with its number, and stays one until
a line in `events.csv` says otherwise.

The lines without a maker are what several sources agree on, and what one source alone says where no other contradicts
(scope `extension`). Where lists contradict, a maker's own lines stand in place of the agreed ones for that maker only.
Severity is this project's judgement, not the standard's. Sources and doubts: docs/meter-facts.md, "Events".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from profiles.events.rows import Row, read_rows
from profiles.objects import Obis

Kind = Literal["occurrence", "restoration", "single", "unknown"]
"""Whether it begins something, ends it, or does neither."""

Severity = Literal["critical", "warning", "information"]
"""critical: somebody should go there (tampering, danger). warning: the supply or the meter is not as it should be, or
its secrets changed. information: all else, every restoration too."""

Scope = Literal["standard", "extension", "unknown"]
"""standard: two or more sources agree; extension: one list alone has it."""

VENDOR: Final = "vendor"
"""The group of makers' own codes, outside the ranges of the seven logs."""

_FILE: Final = Path(__file__).with_name("events.csv")
_COLUMNS: Final = (
    *("maker", "id", "group", "kind", "partner", "severity", "scope", "english", "hindi", "evidence"),
    "doubt",
)
_KINDS: Final[tuple[Kind, ...]] = ("occurrence", "restoration", "single")
_SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warning", "information")
_SCOPES: Final[tuple[Scope, ...]] = ("standard", "extension")
_OPPOSITE: Final = {"occurrence": "restoration", "restoration": "occurrence"}
_MAX_ID: Final = 0xFFFF
"""Meters have event codes as long-unsigned."""
_RANGE: Final = 50


@dataclass(frozen=True, slots=True)
class EventGroup:
    """One of the seven event logs; `number` is 0 to 6, group E of its objects."""

    name: str
    number: int

    @property
    def log(self) -> Obis:
        """The profile that holds the log."""
        return Obis(0, 0, 99, 98, self.number)

    @property
    def code(self) -> Obis:
        """The object whose value is the event code."""
        return Obis(0, 0, 96, 11, self.number)

    @property
    def sequence(self) -> Obis:
        """The object whose value numbers the log's entries, on meters that have one."""
        return Obis(0, 0, 96, 15, self.number)

    @property
    def ids(self) -> range:
        """The codes of this log. The ranges are inferred from the codes that were seen."""
        return range(self.number * _RANGE + 1, (self.number + 1) * _RANGE + 1)


GROUPS: Final[Mapping[str, EventGroup]] = MappingProxyType(
    {
        name: EventGroup(name, number)
        for number, name in enumerate(
            ("voltage", "current", "power", "transaction", "other", "non_rollover", "control")
        )
    }
)
"""The seven logs by name, in the order of their objects."""


@dataclass(frozen=True, slots=True)
class Event:
    """What one event code says. `group`: a name of `GROUPS`, or `vendor`; `partner`: the code that begins or ends what
    this one ends or begins; `evidence`: sources of docs/meter-facts.md; `doubt`: what is not sure, else empty."""

    id: int
    group: str
    kind: Kind
    partner: int | None
    severity: Severity
    scope: Scope
    english: str
    hindi: str
    evidence: str = ""
    doubt: str = ""


Events = Mapping[int, Event]


def event(number: int, maker: str | None = None) -> Event:
    """What this code says on a maker's meters; a maker without lines of their own speaks as agreed. Never refuses."""
    return events(maker).get(number) or _unknown(number)


def partner(number: int, maker: str | None = None) -> Event | None:
    """The event that begins or ends what this one ends or begins; None where there is no such event."""
    other = event(number, maker).partner
    return None if other is None else event(other, maker)


def events(maker: str | None = None) -> Events:
    """All known events by code, as agreed or as this maker has them."""
    lists = event_lists()
    return lists.get(maker or "", lists[""])


@cache
def event_lists() -> Mapping[str, Events]:
    """All known events by maker; the empty name has what is agreed."""
    return load_events(_FILE)


def group_of_log(log: Obis) -> EventGroup | None:
    """Whose log this profile is; None for another object."""
    return next((group for group in GROUPS.values() if group.log == log), None)


def load_events(file: Path) -> Mapping[str, Events]:
    """By maker (empty: as agreed), all events of a CSV file shaped like `events.csv`.

    Raises SettingsError, naming file and line: an unknown word, a code twice for one maker, a code of another log's
    range, a partner that is not mutual or of another group.
    """
    rows: dict[str, dict[int, Row]] = {"": {}}
    found: dict[str, dict[int, Event]] = {"": {}}
    for row in read_rows(file, _COLUMNS):
        one, maker = _event(row), row.cells["maker"]
        before = rows.setdefault(maker, {}).setdefault(one.id, row)
        if before is not row:
            raise row.wrong(f"event {one.id} stands in line {before.line} already")
        found.setdefault(maker, {})[one.id] = one
    layered = {maker: MappingProxyType(found[""] | own) for maker, own in found.items()}
    for maker, own in layered.items():
        for number, one in own.items():
            _check_partner(rows[maker].get(number) or rows[""][number], one, own)
    return MappingProxyType(layered)


def _event(row: Row) -> Event:
    one = Event(
        id=row.integer("id", 1, _MAX_ID),
        group=row.choice("group", (*GROUPS, VENDOR)),
        kind=row.choice("kind", _KINDS),
        partner=row.optional_integer("partner", 1, _MAX_ID),
        severity=row.choice("severity", _SEVERITIES),
        scope=row.choice("scope", _SCOPES),
        english=row.text("english"),
        hindi=row.hindi("hindi"),
        evidence=row.text("evidence"),
        doubt=row.cells["doubt"],
    )
    if one.scope == "standard" and (one.group == VENDOR or one.id not in GROUPS[one.group].ids):
        raise row.wrong(f"event {one.id} is not of the range of the {one.group} log")
    if one.partner is not None and one.kind == "single":
        raise row.wrong(f"event {one.id} is single and has a partner")
    if one.partner is None and one.kind == "restoration":
        raise row.wrong(f"event {one.id} is the restoration of nothing")
    return one


def _check_partner(row: Row, one: Event, known: Events) -> None:
    if one.partner is None:
        return
    other = known.get(one.partner)
    if other is None:
        raise row.wrong(f"partner: there is no event {one.partner}")
    if other.partner != one.id or other.kind != _OPPOSITE[one.kind]:
        raise row.wrong(f"partner: event {one.partner} is no {_OPPOSITE[one.kind]} with partner {one.id}")
    if other.group != one.group:
        raise row.wrong(f"partner: event {one.partner} is of the group {other.group}")


def _unknown(number: int) -> Event:
    group = next((group.name for group in GROUPS.values() if number in group.ids), VENDOR)
    return Event(
        id=number,
        group=group,
        kind="unknown",
        partner=None,
        severity="warning",
        scope="unknown",
        english=f"Unknown event {number}",
        hindi=f"अज्ञात घटना {number}",
    )
