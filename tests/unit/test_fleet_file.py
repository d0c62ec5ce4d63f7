"""Fleet files: the roll-out's own, small ones, and wrong ones, refused by file, line and key."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from profiles.errors import SettingsError
from simulators.faults import fault
from simulators.fleet_file import FleetFile, read_fleet_file
from simulators.schedule import PushPlan
from simulators.state import UDP, Destination

CONFIG = Path(__file__).parents[2] / "config"
SMALL = """
seed = 4
commissioned_at = 2026-01-01T00:00:00+05:30

[divisions."Bhopal city"]
meters = 30
feeders = ["Arera", "Kolar Road"]

[divisions.Datia]
meters = 10

[topology]
meters_per_transformer = 5

[archetypes.office]
share = 3
meter_types = { is15959-1ph = 1, is15959-3ph = 1 }

[archetypes.industry]
meter_types = { is15959-htct = 1 }

[meter_types.is15959-htct]
current_ratio = 10
voltage_ratio = 100

[makers]
SMA = 1

[outages.feeder]
per_year = 20
median_minutes = 10
longest_hours = 2

[[outages.declared]]
feeder = "Arera"
start = 2026-01-02T00:00:00Z
end = 2026-01-02T01:00:00Z

[[outages.declared]]
meter = 39
start = 2026-01-02T00:00:00Z
end = 2026-01-02T00:30:00Z

[tampers]
magnet = { per_year = 2 }

[push]
destination = "udp://127.0.0.1:4061"

[faults]
slow_octets = { share = 0.5, octets_per_s = 100 }
"""


def small(tmp_path: Path, old: str = "", new: str = "") -> FleetFile:
    """The small file with `old` replaced."""
    assert old in SMALL
    path = tmp_path / "fleet.toml"
    path.write_text(SMALL.replace(old, new, 1) if old else SMALL, encoding="utf-8")
    return read_fleet_file(path)


def test_the_roll_out_has_the_government_connections_of_its_list() -> None:
    fleet = read_fleet_file(CONFIG / "fleet.toml")
    with (CONFIG / "rollout.csv").open(newline="", encoding="utf-8") as stream:
        listed = {row["division"]: int(row["government_connections"] or 0) for row in csv.DictReader(stream)}
    assert {one.name: one.meters for one in fleet.divisions} == {name: n for name, n in listed.items() if n}
    assert fleet.meters == sum(listed.values()) == 11_269
    assert len(fleet.divisions) == 18


def test_the_roll_out_makes_identities_a_grid_and_a_world_of_one_size() -> None:
    fleet = read_fleet_file(CONFIG / "fleet.toml")
    here, meters = fleet.world(), fleet.fleet()
    assert len(meters) == len(here.topology) == fleet.meters
    for index in (0, 1748, 1749, 11_268):
        assert meters.identity(index).division == here.topology.path(index)[0]
    assert meters.commissioned_at == datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
    flow = here.load(np.arange(fleet.meters), [here.commissioned_at + 40 * 86_400], 900)
    assert (flow.wh_import > 0).mean() > 0.9


def test_shares_decide_how_many_meters_are_of_which_kind() -> None:
    fleet = read_fleet_file(CONFIG / "fleet.toml")
    who, names = fleet.population(), list(fleet.meter_types)
    offices = np.array([one.name for one in fleet.archetypes])[who.archetype] == "office"
    assert 0.6 < offices.mean() < 0.64
    types = np.array(names)[who.meter_type]
    assert 0.68 < (types[offices] == "is15959-1ph").mean() < 0.72
    assert set(types[~offices]) == set(names)
    assert 0.58 < (who.maker == 0).mean() < 0.62


def test_a_meter_keeps_its_kind_when_the_fleet_grows() -> None:
    fleet = read_fleet_file(CONFIG / "fleet.toml")
    few, all_ = fleet.scaled(300).population(), fleet.population()
    assert np.array_equal(few.archetype, all_.archetype[:300])
    assert np.array_equal(few.meter_type, all_.meter_type[:300])


def test_a_fleet_is_scaled_in_proportion() -> None:
    fleet = read_fleet_file(CONFIG / "fleet.toml").scaled(100)
    assert fleet.meters == len(fleet.fleet()) == len(fleet.topology()) == 100
    assert fleet.divisions[0].meters == 15


def test_what_is_declared_of_a_node_that_a_scaled_fleet_lacks_does_not_happen(tmp_path: Path) -> None:
    assert len(small(tmp_path).outages.declared) == 2
    fleet = small(tmp_path).scaled(4)
    assert [one.name for one in fleet.outages.declared] == ["Arera"]
    assert fleet.world().outages.spans([0], 0, 2**31).start.tolist()


def test_a_small_file_says_what_it_says(tmp_path: Path) -> None:
    fleet = small(tmp_path)
    assert fleet.meters == 40
    assert fleet.push == PushPlan(Destination(UDP, b"127.0.0.1:4061"))
    assert fleet.faults == (fault("slow_octets", share=0.5, octets_per_s=100),)
    assert fleet.makers == {"SMA": 1}
    assert (fleet.outages.feeder.per_year, fleet.outages.feeder.longest_s) == (20, 7200)
    assert fleet.outages.transformer.per_year == fleet.outages.meter.per_year == 0
    assert list(fleet.tampers) == ["magnet"]
    of_types = {name: (one.phases, one.current_ratio, one.voltage_ratio) for name, one in fleet.meter_types.items()}
    assert of_types == {"is15959-1ph": (1, 1, 1), "is15959-3ph": (3, 1, 1), "is15959-htct": (3, 10, 100)}


def test_a_small_file_makes_the_world_that_it_says(tmp_path: Path) -> None:
    here, who = small(tmp_path).world(), small(tmp_path).population()
    assert [node.name for node in here.topology.feeders] == ["Arera", "Kolar Road", "Datia F01"]
    high = who.archetype == 1
    assert (here.sites.phases[high] == 3).all()
    assert np.allclose(here.sites.nominal_v, np.where(high, 6350.85, 230.0))
    declared = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp())
    supplied = here.load(np.arange(40), [declared], 900).supplied[:, 0]
    assert np.array_equal(supplied == 0, (here.topology.feeder == 0) | (np.arange(40) == 39))


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("seed = 4", "seed = 4\nsead = 4", 3, "sead: is not a key here"),
        ("seed = 4", "seed = -4", 2, "seed: must be a whole number"),
        ("2026-01-01T00:00:00+05:30", "2026-01-01T00:00:00", 3, "commissioned_at: must be a date and time"),
        ("meters = 30", "meters = 0", 6, "divisions.Bhopal city.meters: must be a whole number"),
        ("meters = 10", "metres = 10", 9, "divisions.Datia.meters: is missing"),
        ("[archetypes.office]", "[archetypes.palace]", 15, "palace: is no archetype"),
        ("is15959-3ph = 1", "is15959-9ph = 1", None, "is15959-9ph"),
        ("is15959-1ph = 1, is15959-3ph = 1", "is15959-1ph = 0", 17, "at least one share above 0"),
        ("voltage_ratio = 100", "voltage_ratio = 0", 24, "voltage_ratio: must be a whole number"),
        ("SMA = 1", "Sma = 1", 27, "makers.Sma: is no maker; there are SMA, NRB"),
        ("per_year = 20", "per_year = 400", 30, "outages.feeder.per_year: must be a number from 0 to 365"),
        ('feeder = "Arera"', "", 34, "must name one of division, feeder"),
        ("end = 2026-01-02T01:00:00Z", "end = 2026-01-01T23:00:00Z", 37, "end: must be after the start"),
        ("magnet =", "magnets =", 45, "magnets: is no tamper"),
        ("udp://", "ldap://", 48, "destination: "),
        ("[push]", "[pushes]", 47, "pushes: is not a key here"),
        ("SMA = 1\n", "", 26, "makers: needs at least one share above 0"),
    ],
)
def test_a_wrong_file_is_refused_by_line(tmp_path: Path, old: str, new: str, line: int | None, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        small(tmp_path, old, new)
    assert says in caught.value.message
    assert f"fleet.toml:{line}: " in caught.value.message if line else "fleet.toml" in caught.value.message


def test_a_file_that_names_no_makers_has_as_many_of_each(tmp_path: Path) -> None:
    assert small(tmp_path, "[makers]\nSMA = 1\n", "").makers == {"SMA": 1, "NRB": 1}


def test_ratios_of_a_type_without_transformers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is15959-1ph is not connected through instrument transformers"):
        small(tmp_path, "[makers]", "[meter_types.is15959-1ph]\ncurrent_ratio = 10\n\n[makers]")


def test_a_type_that_no_archetype_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is15959-ltct: is not a key here"):
        small(tmp_path, "[makers]", "[meter_types.is15959-ltct]\ncurrent_ratio = 10\n\n[makers]")


def test_a_declared_outage_of_a_feeder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    fleet = small(tmp_path, 'feeder = "Arera"', 'feeder = "Arrera"')
    with pytest.raises(SettingsError, match="Arrera"):
        fleet.world()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("Datia,12\nDatia,13\n", r"rollout\.csv:3: Datia stands there twice"),
        ("Datia,a dozen\n", r"rollout\.csv:2: needs a division"),
        (",12\n", r"rollout\.csv:2: needs a division"),
        ("Harda,\n", "a fleet has 1 to"),
        ("Datia,2000000\n", "a fleet has 1 to"),
    ],
)
def test_a_wrong_list_of_divisions_is_refused_by_line(tmp_path: Path, rows: str, says: str) -> None:
    (tmp_path / "rollout.csv").write_text(f"division,government_connections\n{rows}", encoding="utf-8")
    path, start, end = tmp_path / "fleet.toml", SMALL.index("[divisions"), SMALL.index("[topology]")
    path.write_text('rollout = "rollout.csv"\n' + SMALL[:start] + SMALL[end:], encoding="utf-8")
    with pytest.raises(SettingsError, match=says):
        read_fleet_file(path)


def test_a_division_may_not_be_in_the_list_and_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "rollout.csv").write_text("division,government_connections\nDatia,12\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="Datia: stands in the list of the roll-out already"):
        small(tmp_path, "seed = 4", 'seed = 4\nrollout = "rollout.csv"')


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.csv"):
        small(tmp_path, "seed = 4", 'seed = 4\nrollout = "missing.csv"')
