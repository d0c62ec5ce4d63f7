"""Blocks that are pushed before any visit: kept as they came, taken in once what scales them is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pushing import LAST_BLOCK, NOW, town

from headend.meter_types import MeterTypes
from headend.push import kept
from headend.store.database import connect
from headend.store.layouts import load_layouts, save_layouts
from profiles.intervals import Quality
from profiles.objects import Obis, ScalerUnit
from simulators.push import push, push_kind

TYPE_FILE = Path(__file__).parents[2] / "profiles" / "types" / "is15959-1ph.toml"
NAMES = ["block_load"]
WH = 30


async def test_kept_blocks_are_taken_in_scaled_and_marked_when_their_scalers_are_read(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "EVERY_S", 0.2)
    file = tmp_path / TYPE_FILE.name
    strict = 'covers = ["authentication-and-encryption"]'
    file.write_text(TYPE_FILE.read_text().replace(strict, 'covers = ["encryption", "authentication-and-encryption"]'))
    async with town(dsn, meters=4) as place:
        place.types = MeterTypes((file,))
        proven, unproven, partly, unread = place.meters
        await place.register()
        async with place.headend(tmp_path / "spool", cached_s=0.2), await connect(place.dsn) as connection:
            cursor = await connection.execute("SELECT id FROM meter ORDER BY name")
            ids = [meter_id for (meter_id,) in await cursor.fetchall()]
            layouts = {
                meter_id: of["block_load"] for meter_id, of in (await load_layouts(connection, ids, NAMES)).items()
            }
            await connection.execute("DELETE FROM meter_profile")
            await place.send(unproven, push(unproven, "block_load", push_kind(place.meter_type, "encryption")))
            for meter in (proven, partly, unread):
                await place.send(meter, push(meter, "block_load"))
            await place.kept(4)
            assert await place.blocks() == []

            layouts[ids[2]] = replace(layouts[ids[2]], scalers={(3, Obis(1, 0, 1, 29, 0), 2): ScalerUnit(0, WH)})
            for meter_id in ids[:3]:
                read_at = NOW + timedelta(minutes=5)
                await save_layouts(connection, {meter_id: layouts[meter_id]}, "block_load", read_at)

            async def taken_in() -> bool:
                return len(await place.ask("SELECT FROM suspect_row")) == 1

            await place.until(taken_in)
            rows = {row["name"]: row for row in await place.blocks()}
            place.now += timedelta(seconds=1)
            await place.send(proven, push(proven, "block_load"))
            await place.kept(5)
            assert place.intake.written.unchanged == 1, "as it is when it comes now"
        assert {name: (row["ts"], row["quality"]) for name, row in rows.items()} == {
            proven.identity.name: (LAST_BLOCK, 0),
            unproven.identity.name: (LAST_BLOCK, Quality.NOT_AUTHENTICATED),
            partly.identity.name: (LAST_BLOCK, Quality.SCALER_ASSUMED),
        }
        (left,) = await place.ask("SELECT m.name FROM suspect_row s JOIN meter m ON m.id = s.meter_id")
        assert left["name"] == unread.identity.name
