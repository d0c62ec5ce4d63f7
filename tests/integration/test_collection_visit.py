"""A visit brings home everything that a meter has to say, once; the next one asks for what is new alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from collecting import Town, WatchedMeter, town

from drivers.dlms import axdr
from headend.collection.rows import object_key
from profiles.channels import CHANNELS
from profiles.loader import load_meter_type
from profiles.meter_type import REGISTER_CLASSES, Profile
from simulators.expect import Said, channel_of
from simulators.registers import Register

QUARTER = timedelta(minutes=15)
LAYOUT = 3
"""The attribute of a profile with its capture objects."""


@pytest.mark.parametrize("name", ["is15959-1ph", "is15959-3ph", "is15959-ltct", "is15959-htct", "smr"])
async def test_one_session_stores_all_that_a_meter_says_and_the_next_asks_only_for_what_is_new(
    timescale_dsn: str, name: str
) -> None:
    async with town(timescale_dsn, load_meter_type(name), 1) as place:
        meter = place.watched()
        report = await place.visit()
        assert (report.answered, report.failed) == (1, {}), place.failures()
        await all_is_stored(place)
        assert layouts_read(place)

        meter.forget()
        place.now += timedelta(seconds=meter.period_s)
        report = await place.visit()
        assert (report.answered, report.failed) == (1, {}), place.failures()
        assert layouts_read(place) == [], "they are known"
        blocks, days = (meter.meter_type.profiles[kind].obis for kind in ("block_load", "daily_load"))
        gaps = len(await place.ask("SELECT FROM absence WHERE profile = 'block_load'"))
        assert meter.asked[7, str(blocks), 2] <= 1 + gaps, "what is new, and what was not recorded once more"
        if meter.meter_type.zone == "Asia/Kolkata":  # the utility's own days
            assert meter.asked[7, str(days), 2] == 0, "no day has ended"
        assert meter.asked[40, "0.0.25.9.0.255", 2] == 0
        assert (await place.ask("SELECT count(*) FROM reading_revision"))[0]["count"] == 0
        await all_is_stored(place, visits=2)


async def all_is_stored(place: Town, visits: int = 1) -> None:
    """What there is in the world, value by value, no more and no less."""
    meter = place.watched()
    (row,) = await place.ask("SELECT maker, firmware, identified_at, last_contact FROM meter")
    says = "nameplate" in place.meter_type.profiles
    assert (row["maker"], row["firmware"]) == ((meter.maker_name, meter.firmware) if says else ("", ""))
    assert row["identified_at"] == row["last_contact"] == place.now
    await blocks_are_stored(place)
    for profile in place.meter_type.profiles.values():
        if profile.kind in ("daily_load", "billing"):
            await rows_are_stored(place, profile)
        elif profile.event_log is not None:
            await events_are_stored(place, profile)
    for kind in ("instantaneous", "nameplate"):
        rows = await place.ask("SELECT ts FROM profile_reading WHERE profile = %s ORDER BY ts", kind)
        assert len(rows) == visits * (kind in place.meter_type.profiles)
    checks = await place.ask("SELECT at, drift_ms, suspect FROM clock_check ORDER BY at")
    assert len(checks) == visits
    assert abs(checks[-1]["drift_ms"]) <= 1000
    words = await place.ask("SELECT bits, read_at FROM meter_status_word")
    assert [(word["bits"], word["read_at"]) for word in words] == [(bits, place.now) for bits in status_word(place)]


async def blocks_are_stored(place: Town) -> None:
    said = place.said(0, "block_load")
    period_s = place.watched().period_s
    rows = await place.ask("SELECT * FROM interval_reading ORDER BY ts")
    assert [int(row["ts"].timestamp()) for row in rows] == (said.at - period_s).tolist()
    compared = 0
    for register, column in said.columns:
        channel = CHANNELS.get(register.captured[:3])
        if channel is not None and channel.name == channel_of(register):
            assert [row[channel.name] for row in rows] == column.tolist(), channel.name
            compared += 1
    assert compared


async def rows_are_stored(place: Town, profile: Profile) -> None:
    said = place.said(0, profile.name)
    back = 86_400 if profile.kind == "daily_load" and profile.stamp == "end" else 0
    begins = place.fleet.commissioned_at
    query = 'SELECT ts, "values" FROM profile_reading WHERE profile = %s AND ts >= %s ORDER BY ts'
    rows = await place.ask(query, profile.name, begins)
    whole = said.at - back >= begins.timestamp()
    assert [int(row["ts"].timestamp()) for row in rows] == (said.at - back)[whole].tolist(), profile.name
    for register, column in said.columns[1:]:
        key = object_key(register.captured)
        assert [in_thousandths(register, row["values"][key]) for row in rows] == column[whole].tolist(), key


def in_thousandths(register: Register, value: Any) -> int:
    if register.is_time:
        return int(datetime.fromisoformat(value).timestamp())
    return round(value * 1000) if register.captured.class_id in REGISTER_CLASSES else int(value)


async def events_are_stored(place: Town, log: Profile) -> None:
    assert log.event_log is not None
    said = place.said(0, log.name)
    group = log.event_log.group
    rows = await place.ask("SELECT occurred_at, code FROM meter_event WHERE log = %s", group)
    stored = sorted((int(row["occurred_at"].timestamp()), row["code"]) for row in rows)
    assert stored == sorted(zip(said.at.tolist(), codes(said, log), strict=True)), group
    marks = await place.ask("SELECT occurred_at FROM event_mark WHERE log = %s", group)
    assert [int(mark["occurred_at"].timestamp()) for mark in marks] == said.at[-1:].tolist()


def codes(said: Said, log: Profile) -> list[int]:
    assert log.event_log is not None
    code = log.event_log.code
    (column,) = (column for register, column in said.columns if register.captured[:3] == code)
    return [int(one) for one in column]


def status_word(place: Town) -> list[list[int]]:
    """The bits that the meter shows; none where it has no such word."""
    meter = place.watched()
    if meter.meter_type.status_word is None:
        return []
    attribute = meter.objects[meter.meter_type.status_word.word.obis].attributes[2]
    assert attribute.read is not None
    kind = meter.meter_type.associations[meter.meter_type.reading_association]
    word = axdr.decode(attribute.read(meter, kind))
    assert isinstance(word, axdr.BitString)
    return [[number for number, bit in enumerate(word.bits) if bit == "1"]]


def layouts_read(place: Town) -> list[tuple[int, str, int]]:
    """Which attributes of layouts the meter was asked for since it forgot."""
    scalers = {str(one.scaler_obis) for one in place.meter_type.profiles.values() if one.scaler_obis is not None}
    return [key for key in place.watched().asked if key[0] == 7 and (key[2] in (LAYOUT, 4) or key[1] in scalers)]


async def test_a_changed_firmware_makes_layouts_and_push_lists_be_read_anew(dsn: str) -> None:
    async with town(dsn, load_meter_type("is15959-1ph"), 1) as place:
        meter = place.watched()
        await place.visit()
        lists = await place.ask("SELECT profile FROM meter_profile WHERE profile LIKE 'push:%%' ORDER BY profile")
        pushes = meter.meter_type.pushes.values()
        assert [row["profile"] for row in lists] == sorted(
            f"push:{one.name}" for one in pushes if one.obis in meter.objects and one.form == "columns"
        )
        meter.state.firmware = b"SM1P-9.99"
        meter.forget()
        place.now += QUARTER
        await place.visit({"nameplate"})
        assert meter.asked[40, "0.0.25.9.0.255", 2] == 1
        (row,) = await place.ask("SELECT firmware FROM meter")
        assert row["firmware"] == "SM1P-9.99"
        kept = await place.ask("SELECT profile, read_at FROM meter_profile")
        assert {row["read_at"] for row in kept} == {place.now}, "what the old firmware said is forgotten"

        meter.forget()
        await place.visit({"block_load"})
        blocks = str(meter.meter_type.profiles["block_load"].obis)
        assert meter.asked[7, blocks, LAYOUT] == 1
        await blocks_are_stored(place)


async def test_quirks_hold_from_the_moment_that_the_nameplate_is_read(timescale_dsn: str) -> None:
    """A maker's meters add their deviation to the wrong side: all that was read without it would stand elsewhere."""
    odd = load_meter_type("is15959-1ph+lt-deviation")
    async with town(timescale_dsn, odd, 1, listed_as="is15959-1ph") as place:
        await place.visit()
        (row,) = await place.ask("SELECT maker, meter_type FROM meter")
        assert (row["maker"], row["meter_type"]) == (place.watched().maker_name, "is15959-1ph")
        await blocks_are_stored(place)
        assert await place.suspects(0) == []


async def test_a_bill_that_was_missed_on_its_day_is_asked_for_in_passing_until_it_is_there(timescale_dsn: str) -> None:
    async with town(timescale_dsn, load_meter_type("is15959-1ph"), 1) as place:
        meter, bills = place.watched(), "SELECT ts FROM profile_reading WHERE profile = 'billing' ORDER BY ts"
        buffer = (7, str(place.meter_type.profiles["billing"].obis), 2)
        assert (await place.visit({"block_load"})).answered == 1
        assert meter.asked[buffer] >= 1
        found = await place.ask(bills)
        assert found, "a reset day has passed since it was commissioned"
        meter.forget()
        place.now += QUARTER
        assert (await place.visit({"block_load"})).answered == 1
        assert meter.asked[buffer] == 0
        assert await place.ask(bills) == found


async def test_events_that_a_failed_visit_was_to_bring_come_with_what_is_owed_next(timescale_dsn: str) -> None:
    async with town(timescale_dsn, load_meter_type("is15959-1ph"), 1) as place:
        meter, port = place.watched(), place.server.port
        logs = {(7, str(log.obis), 2) for log in place.meter_type.of_kind("event_log")}
        assert (await place.visit()).answered == 1
        await place.server.close()
        assert (await place.visit({"events"}, attempts=1)).failed == {"LinkError": 1}
        await place.server.start(port)
        await place.connection.execute("UPDATE segment SET down_since = NULL, down_reason = NULL, try_again_at = NULL")
        for asked in (True, False):
            meter.forget()
            place.now += QUARTER
            assert (await place.visit({"block_load"})).answered == 1
            assert (not logs.isdisjoint(meter.asked)) is asked


class Unreached(WatchedMeter):
    """Hangs up on everybody, when it is to."""

    gone = False

    def on_wire(self, apdu: bytes) -> bytes | None:
        return None if self.gone else super().on_wire(apdu)


async def test_what_a_failed_visit_did_not_come_to_comes_with_the_next_and_nobody_else_is_asked(dsn: str) -> None:
    async with town(dsn, load_meter_type("is15959-1ph"), 2, make=Unreached) as place:
        assert (await place.visit()).answered == 2
        await place.connection.execute("INSERT INTO schedule SELECT id, 'daily_load', 'infinity' FROM segment")
        lost = place.watched(1)
        assert isinstance(lost, Unreached)
        lost.gone = True
        place.now += timedelta(minutes=1)
        report = await place.visit({"instantaneous", "nameplate", "billing"}, attempts=1, retry_after_s=300)
        assert (report.answered, report.failed, report.again) == (1, {"LinkError": 1}, 1)
        (due,) = await place.ask("SELECT due_at FROM schedule WHERE task = 'daily_load'")
        assert due["due_at"] == place.now + timedelta(seconds=300)

        lost.gone = False
        place.watched(0).forget()
        assert (await place.visit({"daily_load"})).meters == 1
        assert place.watched(0).apdus == 0
        stored = "SELECT profile, count(*) AS rows FROM profile_reading WHERE meter_id = %s GROUP BY profile"
        ids = [row["id"] for row in await place.ask("SELECT id FROM meter ORDER BY id")]
        told, missed = [{row["profile"]: row["rows"] for row in await place.ask(stored, one)} for one in ids]
        assert missed == told
        assert (told["instantaneous"], told["nameplate"]) == (2, 2)
        assert (await place.visit({"daily_load"})).meters == 0
