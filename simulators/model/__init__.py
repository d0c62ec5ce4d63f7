"""The COSEM objects of a simulated meter, theme by theme, all made from its type.

The one rule: one logical name, one object, one table; it is made once for all meters of a type. Which objects there are
and who may change them is what the type's file says; shapes and types are those seen on meters (docs/meter-facts.md),
where they were seen.
"""

from __future__ import annotations

from dataclasses import replace

from profiles.meter_type import MeterType
from profiles.objects import Obis
from simulators.model import (
    associations,
    calendar,
    clock,
    identity,
    image_transfer,
    limiter,
    profiles,
    push_setup,
    registers,
    schedules,
    scripts,
    security_setup,
    settings,
    supply,
)
from simulators.objects import PUBLIC, CosemObject


def object_model(meter_type: MeterType) -> dict[Obis, CosemObject]:
    """Every object of a meter of this type."""
    found: dict[Obis, CosemObject] = {}
    for theme in (
        *(settings, identity, clock, associations, security_setup, profiles, scripts, supply, limiter),
        *(image_transfer, calendar, schedules, push_setup),
    ):
        found |= theme.objects(meter_type)
    found |= registers.objects(meter_type, found)
    if meter_type.reading_association == PUBLIC:
        return {obis: replace(entry, public=True) for obis, entry in found.items()}
    return found
