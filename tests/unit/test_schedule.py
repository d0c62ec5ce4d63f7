"""When meters push what: by the clock, at events, as their supply goes and comes back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from profiles.errors import SettingsError
from profiles.events import FIRST_BREATH, LAST_GASP
from profiles.toml_file import Source
from profiles.type_file import Keys
from simulators.outages import DeclaredOutage, OutageRates
from simulators.schedule import ALERT, EVENT, Due, PushPlan, PushSchedule, read_push_plan
from simulators.spans import Rate
from simulators.state import HDLC, TCP, Destination
from simulators.topology import Division
from simulators.world import POWER_FAILED, POWER_RESTORED, World, town

SEED, METERS = 3, 60
MIDNIGHT = int(datetime(2026, 1, 4, 18, 30, tzinfo=UTC).timestamp())
"""In India."""
DAY_S = 86_400
OUTAGE = (MIDNIGHT + 10 * 3600, MIDNIGHT + 11 * 3600)
DARK = 7
"""The meter whose supply is gone meanwhile."""
PLAN = PushPlan(Destination(TCP, b"127.0.0.1:4060"))


def world(*outages: DeclaredOutage, **tampers: Rate) -> World:
    quiet = town(SEED, [Division("Datia", METERS)], MIDNIGHT - 3 * DAY_S)
    return World(SEED, quiet.topology, quiet.sites, quiet.commissioned_at, OutageRates(declared=outages), tampers)


def schedule(plan: PushPlan, where: World | None = None) -> PushSchedule:
    return PushSchedule(plan, SEED, range(METERS), where)


def dues(plan: PushPlan, where: World | None = None) -> list[Due]:
    """Of a day."""
    return schedule(plan, where).within(MIDNIGHT, MIDNIGHT + DAY_S)


DARK_HOUR = world(DeclaredOutage("meter", str(DARK), *OUTAGE))


# --- by the clock ---------------------------------------------------------------------------------------------


def test_every_meter_pushes_in_every_period_at_a_moment_of_its_own() -> None:
    found = dues(replace(PLAN, every={"block_load": 30, "daily_load": 1440}, spread_s=600))
    assert Counter(due.what for due in found) == {"block_load": METERS * 48, "daily_load": METERS}
    assert {due.meter for due in found} == set(range(METERS))
    late = [(due.at - MIDNIGHT) % 1800 for due in found]
    assert min(late) < 30
    assert 570 < max(late) < 600
    assert [due.at for due in found] == sorted(due.at for due in found)
    of_one = [due.at for due in found if (due.what, due.meter) == ("block_load", 3)]
    assert len({(at - MIDNIGHT) % 1800 for at in of_one}) > 40, "another moment each time"


def test_windows_that_follow_each_other_hold_each_push_once() -> None:
    plan = replace(PLAN, every={"instant": 15}, spread_s=900, events=True)
    where = world(DeclaredOutage("meter", str(DARK), *OUTAGE), magnet=Rate(300.0, 600.0, 7200.0))
    whole = schedule(plan, where).within(MIDNIGHT, MIDNIGHT + DAY_S)
    parts = [
        due
        for start in range(MIDNIGHT, MIDNIGHT + DAY_S, 3600)
        for due in schedule(plan, where).within(start, start + 3600)
    ]
    assert Counter(parts) == Counter(whole)
    assert {due.what for due in whole} == {"instant", ALERT, EVENT}
    assert max(Counter(whole).values()) == 1


def test_a_meter_without_supply_pushes_nothing() -> None:
    found = dues(replace(PLAN, every={"instant": 5}, alerts=False, spread_s=60), DARK_HOUR)
    missing = Counter(due.meter for due in dues(replace(PLAN, every={"instant": 5}, spread_s=60)))
    missing.subtract(Counter(due.meter for due in found))
    assert {meter: count for meter, count in missing.items() if count} == {DARK: 12}


# --- at events ------------------------------------------------------------------------------------------------


def test_an_outage_makes_a_last_gasp_and_a_first_breath() -> None:
    gasp, *_, breath = (due for due in dues(PLAN, DARK_HOUR) if due.meter == DARK)
    assert (gasp.what, gasp.raised) == (ALERT, LAST_GASP)
    assert OUTAGE[0] < gasp.at < OUTAGE[0] + 10
    assert (breath.what, breath.raised) == (ALERT, FIRST_BREATH)
    assert OUTAGE[1] < breath.at < OUTAGE[1] + 300
    assert {due.meter for due in dues(PLAN, DARK_HOUR)} == {DARK}


def test_a_last_gasp_can_be_lost() -> None:
    lost = dues(replace(PLAN, last_gasps_lost=1.0), DARK_HOUR)
    assert LAST_GASP not in {due.raised for due in lost}
    assert FIRST_BREATH in {due.raised for due in lost}
    division = world(DeclaredOutage("division", "Datia", *OUTAGE))
    some = [due for due in dues(replace(PLAN, last_gasps_lost=0.5), division) if due.raised == LAST_GASP]
    assert METERS * 0.25 < len(some) < METERS * 0.75


def test_the_restoration_of_the_supply_is_told_as_an_event_and_its_failure_only_as_a_last_gasp() -> None:
    codes = [due.code for due in dues(replace(PLAN, alerts=False, events=True), DARK_HOUR)]
    assert POWER_RESTORED in codes
    assert POWER_FAILED not in codes


def test_a_tamper_makes_an_alert_and_an_event_soon_after_it_was_noticed() -> None:
    where = world(magnet=Rate(300.0, 600.0, 7200.0))
    found = dues(replace(PLAN, events=True), where)
    assert len(found) > METERS
    assert {due.code for due in found} == {201, 202}
    assert Counter(due.what for due in found)[ALERT] == Counter(due.what for due in found)[EVENT]
    for meter in range(METERS):
        noticed = [one.at for one in where.events(meter, MIDNIGHT - 60, MIDNIGHT + DAY_S)]
        assert all(any(0 <= due.at - at < 20 for at in noticed) for due in found if due.meter == meter)
    assert dues(replace(PLAN, alerts=False), where) == []


def test_there_is_nothing_to_tell_of_a_town_where_nothing_happens() -> None:
    assert dues(replace(PLAN, events=True), world()) == []
    assert schedule(PLAN, world()).within(MIDNIGHT, MIDNIGHT) == []


# --- covers ---------------------------------------------------------------------------------------------------


def test_a_meter_keeps_its_cover_and_shares_decide_how_many_have_which() -> None:
    plan = replace(PLAN, covers={"clear": 1.0, "authentication-and-encryption": 2.0})
    covers = PushSchedule(plan, SEED, range(3000)).covers()
    assert 800 < list(covers.values()).count("clear") < 1200
    assert PushSchedule(plan, SEED, [5, 9]).covers() == {5: covers[5], 9: covers[9]}
    assert set(schedule(PLAN).covers().values()) == {"authentication-and-encryption"}


# --- the table ------------------------------------------------------------------------------------------------

TO = 'destination = "tcp://127.0.0.1:1"\n'


def read(tmp_path: Path, text: str) -> PushPlan:
    file = tmp_path / "push.toml"
    file.write_text(text)
    source = Source.read(file, "pushes")
    return read_push_plan(Keys([source], (), source.table))


def test_a_table_says_what_is_pushed_where_and_how(tmp_path: Path) -> None:
    plan = read(
        tmp_path,
        """
        destination = "hdlc+tcp://[::1]:4061"
        spread_s = 60
        events = true
        retries = 5
        duplicates = 0.1
        every_minutes = { block_load = 30 }
        covers = { clear = 1, encryption = 2 }
        """,
    )
    assert plan.to == Destination(HDLC, b"[::1]:4061")
    assert (plan.every, plan.covers) == ({"block_load": 30}, {"clear": 1.0, "encryption": 2.0})
    assert (plan.spread_s, plan.events, plan.alerts, plan.retries, plan.duplicates) == (60, True, True, 5, 0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spread_s = 3", "destination: is missing"),
        ('destination = "serial:///dev/ttyS0"', r"push\.toml:1: destination: meters push by tcp, udp, hdlc\+tcp"),
        ('destination = "nowhere"', r"push\.toml:1: destination: "),
        (TO + "spread = 3", r"push\.toml:2: spread: is not a key here"),
        (TO + "every_minutes = { instant = 7 }", r"push\.toml:2: every_minutes\.instant: must divide a day"),
        (TO + "every_minutes = { instant = 1 }", "spread_s: is longer than the 1 minutes between pushes of instant"),
        (TO + "covers = { naked = 1 }", r"push\.toml:2: covers\.naked: is no cover; there are clear"),
        (TO + "covers = { clear = 0 }", r"push\.toml:2: covers: needs at least one share above 0"),
    ],
)
def test_what_is_no_plan_is_refused_by_file_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read(tmp_path, text)
