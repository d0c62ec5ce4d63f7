"""Layouts: what each meter said of its own profiles (capture objects, scalers, capture period), kept per meter.

The one rule: the meter's word wins over its type's; it is read once, and again when a buffer does not fit it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from psycopg.types.json import Jsonb

from drivers.reading import Layout
from headend.store.database import Connection, store_errors
from headend.store.statements import statement
from profiles.objects import CaptureObject, Obis, ScalerUnit


async def load_layouts(
    connection: Connection, meter_ids: Sequence[int], profiles: Sequence[str]
) -> dict[int, dict[str, Layout]]:
    """By meter id and profile name, as far as there are any. Raises StoreError."""
    found: dict[int, dict[str, Layout]] = {}
    async with store_errors():
        parameters = {"meters": sorted(set(meter_ids)), "profiles": list(profiles)}
        cursor = await connection.execute(statement("layouts_load"), parameters)
        for meter_id, profile, objects, scalers, period in await cursor.fetchall():
            found.setdefault(meter_id, {})[profile] = _layout(objects, scalers, period)
    return found


async def save_layouts(connection: Connection, layouts: Mapping[int, Layout], profile: str, read_at: datetime) -> None:
    """Keep them, by meter id, in place of older ones; that of the block load profile sets the meter's interval.

    Raises StoreError.
    """
    of = list(layouts.values())
    parameters = {
        "meter_id": list(layouts),
        "capture_objects": [
            Jsonb([[o.class_id, str(o.obis), o.attribute, o.data_index] for o in layout.capture_objects])
            for layout in of
        ],
        "scalers": [
            Jsonb([[class_id, str(obis), attribute, s.scaler, s.unit] for (class_id, obis, attribute), s in pairs])
            for pairs in (sorted(layout.scalers.items(), key=lambda pair: pair[0]) for layout in of)
        ],
        "capture_period_s": [layout.capture_period_s for layout in of],
        "profile": profile,
        "read_at": read_at,
    }
    async with store_errors():
        await connection.execute(statement("layouts_save"), parameters)


@lru_cache(maxsize=1024)
def _layout(objects: str, scalers: str, capture_period_s: int) -> Layout:
    """Kept, by its JSON: the meters of one firmware have the same."""
    return Layout(
        tuple(CaptureObject(c, Obis.parse(obis), a, index) for c, obis, a, index in json.loads(objects)),
        {(c, Obis.parse(obis), a): ScalerUnit(scaler, unit) for c, obis, a, scaler, unit in json.loads(scalers)},
        capture_period_s,
    )
