"""Layouts: what each meter said of its own profiles (capture objects, scalers, capture period), kept per meter.

The one rule: the meter's word wins over its type's; it is read once, and again when a buffer does not fit it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from headend.store.database import Connection, store_errors
from headend.store.statements import statement
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit


@dataclass(frozen=True, slots=True)
class Layout:
    """One profile of one meter. `scalers` by (class id, OBIS, attribute 2): of the value, not of its scaler."""

    meter_id: int
    profile: str
    capture_objects: tuple[CaptureObject, ...]
    scalers: Mapping[tuple[int, Obis, int], ScalerUnit]
    capture_period_s: int
    read_at: datetime


async def load_layouts(connection: Connection, meter_ids: Sequence[int], profile: str) -> dict[int, Layout]:
    """By meter id, of those meters that have one. Raises StoreError."""
    parameters = {"meters": sorted(set(meter_ids)), "profile": profile}
    async with store_errors():
        cursor = await connection.execute(statement("layouts_load"), parameters)
        rows = await cursor.fetchall()
    return {
        meter_id: Layout(meter_id, profile, _capture_objects(objects), _scalers(scalers), period, read_at)
        for meter_id, objects, scalers, period, read_at in rows
    }


async def save_layouts(connection: Connection, layouts: Sequence[Layout]) -> None:
    """Keep them in place of older ones; that of the block load profile sets the meter's interval. Raises StoreError."""
    parameters = {
        "meter_id": [layout.meter_id for layout in layouts],
        "profile": [layout.profile for layout in layouts],
        "capture_objects": [
            Jsonb([[o.class_id, str(o.obis), o.attribute, o.data_index] for o in layout.capture_objects])
            for layout in layouts
        ],
        "scalers": [
            Jsonb([[class_id, str(obis), attribute, s.scaler, s.unit] for (class_id, obis, attribute), s in pairs])
            for pairs in (sorted(layout.scalers.items(), key=lambda pair: pair[0]) for layout in layouts)
        ],
        "capture_period_s": [layout.capture_period_s for layout in layouts],
        "read_at": [layout.read_at for layout in layouts],
    }
    async with store_errors():
        await connection.execute(statement("layouts_save"), parameters)


def _capture_objects(stored: list[list[Any]]) -> tuple[CaptureObject, ...]:
    return tuple(CaptureObject(c, Obis.parse(o), a, i) for c, o, a, i in stored)


def _scalers(stored: list[list[Any]]) -> dict[tuple[int, Obis, int], ScalerUnit]:
    return {AttributeRef(c, Obis.parse(o), a): ScalerUnit(s, u) for c, o, a, s, u in stored}
