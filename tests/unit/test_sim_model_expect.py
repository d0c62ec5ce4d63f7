"""The answer key of all profiles, as Parquet, held to the world by other arithmetic than its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from profiles.errors import SettingsError
from profiles.loader import load_meter_type
from simulators.expect import AnswerKey, channels_of
from simulators.expect_tables import write_tables
from simulators.fleet import Fleet
from simulators.meter import town_of
from simulators.outages import DeclaredOutage, OutageRates
from simulators.world import World

START = datetime(2026, 2, 25, 18, 30, tzinfo=UTC)
END = START + timedelta(days=4)
ONE, THREE = load_meter_type("is15959-1ph"), load_meter_type("is15959-3ph")
WH_BLOCK, WH, DEMAND_AT = "3/1.0.1.29.0.255/2", "3/1.0.1.8.0.255/2", "4/1.0.1.6.0.255/5"


def fleet() -> Fleet:
    return Fleet(3, 3, {"Bhopal city": 1}, START)


def world() -> World:
    quiet, since = town_of(fleet(), ONE), int(START.timestamp())
    outage = DeclaredOutage("meter", "1", since + 7200, since + 10_800)
    return World(3, quiet.topology, quiet.sites, since, OutageRates(declared=(outage,)), {})


def test_a_file_for_each_profile_has_what_every_meter_must_have_said(tmp_path: Path) -> None:
    key = AnswerKey(fleet(), ONE, world())
    counted = write_tables(tmp_path / "expect", [key], START, END)
    assert counted == {"block_load": 3 * 4 * 96, "daily_load": 3 * 4, "billing": 3, "events": 2}
    tables = {name: pq.read_table(tmp_path / "expect" / f"{name}.parquet").to_pylist() for name in counted}

    second = fleet().identity(1)
    blocks = [row for row in tables["block_load"] if row["serial"] == second.serial]
    assert [row["at"] for row in blocks] == [START + timedelta(minutes=15) * (n + 1) for n in range(4 * 96)]
    starts = np.array([int(row["at"].timestamp()) - 900 for row in blocks])
    flowed = world().load([1], starts, 900).wh_import[0]
    tens = [10_000 * round(wh / 10) for wh in flowed.tolist()]
    assert [row[WH_BLOCK] for row in blocks] == tens, "this maker counts tens of Wh"
    assert [row[WH_BLOCK] for row in blocks[8:12]] == [0] * 4, "without supply"
    assert {row["1/0.1.96.12.5.255/2"] for row in blocks} == {None}, "and it tells no signal strength"

    total = int(world().registers([0], [int(END.timestamp())]).wh_import[0, 0])
    last = [row for row in tables["daily_load"] if row["serial"] == fleet().identity(0).serial][-1]
    assert (last["at"], last[WH]) == (END, 1000 * total)
    assert [row["at"] for row in tables["billing"]] == [datetime(2026, 2, 28, 18, 30, tzinfo=UTC)] * 3
    assert all(START < row[DEMAND_AT] <= row["at"] for row in tables["billing"])
    assert [(row["serial"], row["profile"], row["1/0.0.96.11.2.255/2"]) for row in tables["events"]] == [
        (second.serial, "event_power", code) for code in (101, 102)
    ]


def test_meters_of_several_types_stand_in_one_set_of_files(tmp_path: Path) -> None:
    keys = [AnswerKey(fleet(), ONE, meters=[0, 2]), AnswerKey(fleet(), THREE, meters=[1])]
    counted = write_tables(tmp_path, keys, START, START + timedelta(hours=1))
    assert counted["block_load"] == 3 * 4
    rows = pq.read_table(tmp_path / "block_load.parquet").to_pylist()
    volts = {row["serial"]: (row["3/1.0.12.27.0.255/2"], row["3/1.0.72.27.0.255/2"]) for row in rows}
    assert [(one is None, three is None) for one, three in volts.values()] == [(False, True)] * 2 + [(True, False)]


def test_a_place_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="can't write"):
        write_tables(tmp_path / "file", [AnswerKey(fleet(), ONE)], START, END)


def test_channels_of_other_types_come_after_those_that_all_have() -> None:
    assert channels_of(THREE)[:6] == (
        *("wh_import", "vah_import", "wh_export", "vah_export"),
        *("meter_health", "signal_strength"),
    )
    assert set(channels_of(THREE)[6:]) >= {"voltage_l1", "current_l3", "varh_q1"}
    assert channels_of(load_meter_type("smr"))[-2:] == ("wh_import_register", "wh_export_register")
    assert channels_of(load_meter_type("han-kaifa")) == ()
