"""The event logs and the event status word of a simulated meter: what befell it, and what was done to it.

The one rule: what befell it is known from the world, what clients did from the meter's state; a log has nothing else.
An entry's number is its place among all entries of its log since commissioning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from profiles.events import FIRST_BREATH, GROUPS, EswBit, esw_bits, event
from profiles.meter_type import EventLog, Profile

if TYPE_CHECKING:
    from simulators.conditions import Conditions
    from simulators.meter import SimulatedMeter

ENTRIES: Final = 100
"""What a log holds where its type does not say."""
CLOCK_SET, DEMAND_PERIOD_SET, CAPTURE_PERIOD_SET, BILLING_DATES_SET, CALENDAR_SET = 151, 152, 153, 154, 155
FIRMWARE_ACTIVATED, LIMIT_SET = 157, 158
LLS_CHANGED, HLS_CHANGED, FIRMWARE_HLS_CHANGED, KEYS_CHANGED = 161, 162, 163, 164
FILTER_CHANGED, DEMAND_RESET, IMAGE_SCHEDULE_CHANGED, METERING_MODE_CHANGED = 165, 166, 169, 167
SWITCH_OPENED, SWITCH_CLOSED = 301, 302
"""Codes of what clients do (profiles/events/events.csv)."""
POWER_FAILED, POWER_RESTORED = 101, 102
PULSE_S: Final = 900
"""How long a bit of the status word stays set that only says that something happened."""
BILLING_INCREMENTED: Final = 87

_DIALECTS: Final[Mapping[str, Mapping[int, int]]] = {
    "manipur-hes": {SWITCH_OPENED: 160, SWITCH_CLOSED: 159},
}
"""By event maker: codes that its meters have for what others have another code for."""
_FOREIGN: Final[Mapping[str, Mapping[int, int]]] = {
    "standard": {POWER_FAILED: 1, POWER_RESTORED: 2, CLOCK_SET: 5, FIRMWARE_ACTIVATED: 18},
    "fraud_detection": {251: 44, 201: 42, 202: 43},
    "disconnect_control": {SWITCH_OPENED: 62, SWITCH_CLOSED: 63},
    "power_quality": {9: 76, 10: 85, 7: 79, 8: 88},
}
"""Logs of European meters by their groups: their codes, as generally told, for events that are known by Indian ones."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log; `at`: seconds since 1970 UTC."""

    at: int
    code: int
    number: int


def happened(meter: SimulatedMeter) -> list[tuple[int, int]]:
    """All that a meter has noticed up to now: when, and which code; in order."""
    dialect = _DIALECTS.get(meter.meter_type.event_maker or "", {})
    befell = befallen(meter.conditions, int(meter.now()))
    done = [(at, dialect.get(code, code)) for at, code in meter.state.events]
    return sorted([*befell, *done], key=lambda one: one[0])


def befallen(conditions: Conditions, until: int) -> list[tuple[int, int]]:
    """What befell a meter, whoever its clients are, up to `until`."""
    events = conditions.around.events(conditions.meter, until, conditions.logged_after_s)
    return [(one.at, one.code) for one in events]


def entries(log: EventLog, events: list[tuple[int, int]], maker: str | None) -> list[Entry]:
    """The entries of one log among all events, oldest first."""
    return [Entry(at, code, number) for number, (at, code) in enumerate(_of_log(log, events, maker), 1)]


def depth(profile: Profile) -> int:
    """How many entries a log holds."""
    return profile.depth_rows or ENTRIES


def kept(meter: SimulatedMeter, profile: Profile) -> list[Entry]:
    """What is in the buffer of a log."""
    assert profile.event_log is not None
    found = entries(profile.event_log, happened(meter), meter.meter_type.event_maker)
    oldest = meter.state.rows_from.get(profile.obis, 0)
    return [one for one in found if one.at >= oldest][-depth(profile) :]


def last_code(meter: SimulatedMeter, profile: Profile) -> int:
    """The code of a log's last event, 0 where there was none."""
    found = kept(meter, profile)
    return found[-1].code if found else 0


def last_number(meter: SimulatedMeter, profile: Profile) -> int:
    """The number of a log's last event, 0 where there was none."""
    found = kept(meter, profile)
    return found[-1].number if found else 0


def status_bits(meter: SimulatedMeter) -> frozenset[int]:
    """The bits of the event status word that are set now."""
    maker, now = meter.meter_type.event_maker, int(meter.now())
    events = happened(meter)
    bits = {number for number, bit in esw_bits(maker).items() if _is_set(bit, events, now)}
    breaths = (at for at, code in events if code == POWER_RESTORED)
    ends = meter.conditions.billing_ends(now)
    if any(now - at < PULSE_S for at in breaths):
        bits.add(FIRST_BREATH)
    if len(ends) and now - int(ends[-1]) < PULSE_S:
        bits.add(BILLING_INCREMENTED)
    return frozenset(bits)


def _is_set(bit: EswBit, events: list[tuple[int, int]], now: int) -> bool:
    if bit.edge == "toggle":
        return sum(code in (SWITCH_OPENED, SWITCH_CLOSED) for _, code in events) % 2 == 1
    if bit.occurrence is None:
        return False
    last = next(((at, code) for at, code in reversed(events) if code in (bit.occurrence, bit.restoration)), None)
    if last is None or last[1] != bit.occurrence:
        return False
    return bit.edge == "state" or now - last[0] < PULSE_S


def _of_log(log: EventLog, events: list[tuple[int, int]], maker: str | None) -> Iterator[tuple[int, int]]:
    foreign = _FOREIGN.get(log.group, {})
    for at, code in events:
        if log.group in GROUPS:
            if event(code, maker).group == log.group:
                yield at, code
        elif code in foreign:
            yield at, foreign[code]
