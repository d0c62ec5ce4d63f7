"""Ratios of instrument transformers: read from meters, kept dated, and applied to what is counted on their secondary
side alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from collecting import town

from headend.collection.rows import ratio_said
from headend.store.batch import Store
from headend.store.database import Connection, Pool, edition
from headend.store.finished import Contact, Finished, MeterRatio, ProfileReading, Value
from headend.store.rows import MeterIntervals, Source
from profiles.loader import load_meter_type

Reading = Callable[..., MeterIntervals]
MIDNIGHT = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
NOW = MIDNIGHT + timedelta(days=2)


def said(meter: int, hours: float, ct: int, pt: int | None, *, secondary: bool) -> Finished:
    at = MIDNIGHT + timedelta(hours=hours)
    ratio = MeterRatio(meter, at, Decimal(ct), None if pt is None else Decimal(pt), secondary)
    return Finished(Contact(meter, at), ratio=ratio)


async def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode())).fetchall()


async def test_values_of_the_secondary_side_are_multiplied_by_the_ratios_of_their_time(
    pool: Pool, connection: Connection, meters: list[int], reading: Reading
) -> None:
    store = Store(pool, await edition(connection))
    first, second, third, _ = meters[:4]
    values = {name: [1_000_000] * 8 for name in ("wh_import", "voltage_l1", "current_l1")}
    brought = [Finished(Contact(meter, NOW), (reading(meter, 0, values),)) for meter in meters[:4]]
    brought += [
        said(first, 0.5, 20, 100, secondary=True),
        said(first, 0.75, 20, 100, secondary=True),
        said(first, 1, 40, 100, secondary=True),
        said(second, 1, 30, None, secondary=True),
        said(third, 1, 20, 110, secondary=False),
    ]
    for one in brought * 2:
        await store.write([one], NOW)
    dated = [(1, 0.5, 20, 100), (1, 1, 40, 100), (2, 1, 30, None), (3, 1, 20, 110)]
    query = (
        "SELECT substr(m.name, 2)::int, extract(epoch FROM since - commissioned_at)::float / 3600, ct, pt "
        "FROM meter_ratio JOIN meter m ON m.id = meter_id ORDER BY 1, 2"
    )
    assert await rows(connection, query) == dated, (
        "said again, it is the same; what is older than the newest is not told"
    )

    shown = await rows(
        connection,
        "SELECT meter, kwh_import, kwh_import_primary, voltage_l1_primary / voltage_l1, "
        "current_l1_primary / current_l1 FROM load_profile_primary ORDER BY meter, starts_at",
    )
    assert shown == [
        *[("m1", 1, 2000, 100, 20)] * 4,
        *[("m1", 1, 4000, 100, 40)] * 4,
        *[("m2", 1, 30, 1, 30)] * 8,
        *[("m3", 1, 1, 1, 1)] * 8,
    ]
    await store.write([said(third, 2, 20, 110, secondary=True)], NOW)
    assert await rows(
        connection, "SELECT DISTINCT kwh_import_primary FROM load_profile_primary WHERE meter = 'm3'"
    ) == [(2200,)], "the type was put right"


async def test_a_visit_brings_the_ratios_that_the_meter_says(timescale_dsn: str) -> None:
    async with town(timescale_dsn, load_meter_type("is15959-htct"), 1) as place:
        report = await place.visit(["nameplate"])
        assert (report.answered, report.failed) == (1, {}), place.failures()
        [ratio] = await place.ask("SELECT since, ct, pt, secondary FROM meter_ratio")
        sites = place.watched().conditions.world.sites
        assert (ratio["ct"], ratio["pt"]) == (int(sites.current_ratio[0]), int(sites.voltage_ratio[0]))
        assert (ratio["since"], ratio["secondary"]) == (place.now, False)


def test_what_is_no_ratio_is_not_taken_for_one_and_the_type_says_which_side_is_counted() -> None:
    htct = load_meter_type("is15959-htct")
    assert htct.ratios is not None
    meter_type = replace(htct, ratios=replace(htct.ratios, values="secondary"))

    def nameplate(ct: Value, pt: Value, profile: str = "nameplate") -> ProfileReading:
        values = {"1/1.0.0.4.2.255/2": ct, "1/1.0.0.4.3.255/2": pt}
        return ProfileReading(7, profile, NOW, values, {}, 0, NOW, Source.SCHEDULED)

    said_now = MeterRatio(7, NOW, Decimal(20), Decimal("0.5"), secondary=True)
    assert ratio_said(meter_type, [nameplate(Decimal(20), Decimal("0.5"))]) == said_now
    assert ratio_said(meter_type, [nameplate(Decimal(20), "hex:00")]) == replace(said_now, pt=None)
    for odd in (nameplate(Decimal(0), Decimal(1)), nameplate("100/5", None), nameplate(Decimal(20), None, "billing")):
        assert ratio_said(meter_type, [odd]) is None
    assert ratio_said(replace(htct, ratios=None), [nameplate(Decimal(20), None)]) is None
