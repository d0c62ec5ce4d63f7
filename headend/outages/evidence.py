"""What says that a meter has lost power, or has it again.

The one rule: bits up to 8 say that power is gone, those from 16 on that it is there; the statements count on that.
"""

from __future__ import annotations

from enum import IntFlag
from functools import cache
from typing import Final

from headend.store.events import BIT_SET
from profiles.events import FIRST_BREATH, LAST_GASP, events, makers

FAILED: Final = 101
RESTORED: Final = 102
"""Codes of the power log (docs/meter-facts.md, "Event codes")."""


class Evidence(IntFlag):
    """As in `outage_meter.evidence`."""

    LAST_GASP = 1
    POWER_FAILED = 2
    SILENT = 4
    """It did not answer while others of its place were off."""
    POWER_RESTORED = 16
    FIRST_BREATH = 32
    ANSWERED = 64
    PRESUMED = 128
    """Nobody said so: the others of its outage have power again, or it was off for too long to be believed."""


@cache
def codes() -> tuple[tuple[str, int, Evidence], ...]:
    """Maker, event code and what it says, for every list of events there is. A maker's code counts where his list says
    the same of it as the agreed one; a head-end that shows the two bits as events has them under the bits' numbers."""
    agreed = events("")
    found: list[tuple[str, int, Evidence]] = []
    for maker in ("", *makers()):
        found.append((maker, BIT_SET + LAST_GASP, Evidence.LAST_GASP))
        found.append((maker, BIT_SET + FIRST_BREATH, Evidence.FIRST_BREATH))
        listed = events(maker)
        for code, evidence in ((FAILED, Evidence.POWER_FAILED), (RESTORED, Evidence.POWER_RESTORED)):
            if code in listed and listed[code].english == agreed[code].english:
                found.append((maker, code, evidence))
        for code, name, evidence in (
            (LAST_GASP, "Last gasp", Evidence.LAST_GASP),
            (FIRST_BREATH, "First breath", Evidence.FIRST_BREATH),
        ):
            if code in listed and listed[code].english == name:
                found.append((maker, code, evidence))
    return tuple(found)
